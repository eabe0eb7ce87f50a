/// What to do about a connection that did not come about, after what rustls and HTTP/2 say of it.
/// The first that fits.
const ADVICE: [(Scheme, &[&str], &str); 6] = [
    (
        Scheme::Https,
        &["UnknownIssuer", "BadSignature"],
        "none of the trusted authorities has signed etcd's certificate: \
         TlsOptions::ca_certificate of EtcdConfig::tls takes the one that has",
    ),
    (
        Scheme::Https,
        &["not valid for name", "NotValidForName"],
        "connect by a name in etcd's certificate, or give one to TlsOptions::domain_name",
    ),
    (
        Scheme::Https,
        &["certificate expired", "Expired", "NotValidYet"],
        "etcd needs a new certificate, or one of the clocks is wrong",
    ),
    (
        Scheme::Https,
        &["handshake eof", "InvalidContentType", "corrupt message"],
        "if etcd does not speak TLS there, the URL begins with http://, and EtcdConfig::tls is none",
    ),
    // A client certificate is refused after the handshake, and the alert is lost at times.
    (
        Scheme::Https,
        &["fatal alert", "broken pipe", "connection reset", "closed"],
        "if etcd wants a client certificate, TlsOptions::identity takes one of an authority that \
         etcd trusts",
    ),
    (
        Scheme::Http,
        &[
            "broken pipe",
            "connection reset",
            "closed",
            "frame with invalid size",
            "protocol error",
        ],
        "if etcd speaks TLS there, the URL begins with https://",
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why there is no connection to `member`, and what to do about it where that is known.
pub(super) fn with_advice(member: &str, text: &str) -> String {
    let scheme = if member.starts_with("https:") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let fits = |(of, signs, _): &&(Scheme, &[&str], &str)| {
        *of == scheme && signs.iter().any(|sign| text.contains(sign))
    };
    match ADVICE.iter().find(fits) {
        Some((_, _, advice)) => format!("{text} ({advice})"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_tls_comes_with_what_to_do() {
        let (http, https) = ("http://etcd:2379", "https://etcd:2379");
        for (member, text, advice) in [
            (
                https,
                "invalid peer certificate: UnknownIssuer",
                Some("ca_certificate"),
            ),
            (
                https,
                "invalid peer certificate: BadSignature",
                Some("ca_certificate"),
            ),
            (
                https,
                "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; \
                 certificate is only valid for DnsName(\"etcd.example\")",
                Some("domain_name"),
            ),
            (https, "invalid peer certificate: Expired", Some("clocks")),
            (https, "transport error: tls handshake eof", Some("http://")),
            (
                https,
                "received fatal alert: BadCertificate",
                Some("identity"),
            ),
            (
                https,
                "received fatal alert: CertificateRequired",
                Some("identity"),
            ),
            (
                https,
                "stream closed because of a broken pipe",
                Some("identity"),
            ),
            (
                http,
                "stream closed because of a broken pipe",
                Some("https://"),
            ),
            (http, "Connection refused (os error 111)", None),
            (https, "Connection refused (os error 111)", None),
            (http, "etcdserver: no leader", None),
        ] {
            let text_with_advice = with_advice(member, text);
            match advice {
                Some(advice) => assert!(text_with_advice.contains(advice), "{text_with_advice}"),
                None => assert_eq!(text_with_advice, text),
            }
        }
    }
}
