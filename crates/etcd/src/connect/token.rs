use http::{HeaderMap, HeaderValue, Response};
use tonic::Code;

/// What etcd says of a token that another one will do for, apart from `invalid auth token`: that
/// users or roles were changed since (only with JWT), or that it got none, as authentication was
/// switched on since.
const OUTDATED: [&str; 2] = ["revision of auth store is old", "user name is empty"];

/// Makes all of etcd's complaints about an outdated token the one on which the client
/// authenticates again and repeats its request.
pub(super) fn one_complaint<B>(mut response: Response<B>) -> Response<B> {
    if is_outdated(response.headers()) {
        let code = HeaderValue::from(Code::Unauthenticated as i32);
        response.headers_mut().insert("grpc-status", code);
    }
    response
}

/// Whether this text of etcd is about a token that another one will do for.
pub(crate) fn is_about_token(text: &str) -> bool {
    text.contains("invalid auth token") || OUTDATED.iter().any(|outdated| text.contains(outdated))
}

fn is_outdated(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text("grpc-status").is_some_and(|code| code == "3")
        && text("grpc-message").is_some_and(|message| {
            // Percent-encoded, which leaves letters and spaces as they are.
            OUTDATED.iter().any(|outdated| message.contains(outdated))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_complaints_about_a_token_become_one() {
        for (code, message, expected) in [
            ("3", "etcdserver: revision of auth store is old", "16"),
            ("3", "etcdserver: user name is empty", "16"),
            (
                "3",
                "etcdserver: authentication failed, invalid user ID or password",
                "3",
            ),
            ("3", "etcdserver: request is too large", "3"),
            ("16", "etcdserver: invalid auth token", "16"),
            ("7", "etcdserver: permission denied", "7"),
            ("14", "etcdserver: revision of auth store is old", "14"),
        ] {
            let response = Response::builder()
                .header("grpc-status", code)
                .header("grpc-message", message)
                .body(())
                .unwrap();
            let response = one_complaint(response);
            assert_eq!(response.headers()["grpc-status"], expected, "{message}");
        }
        assert!(one_complaint(Response::new(())).headers().is_empty());
    }
}
