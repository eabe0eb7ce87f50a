use super::*;

fn completed(mut request: Request<()>) -> Request<()> {
    let authority = Authority::from_static("user.example:80");
    let agent = HeaderValue::from_static(USER_AGENT_TEXT);
    Head::new(false, &authority, agent).complete(&mut request);
    request
}

#[test]
fn a_stubs_request_gets_the_connections_authority_and_scheme() {
    let request = completed(Request::post("/UserService/GetById").body(()).unwrap());
    assert_eq!(request.uri(), "http://user.example:80/UserService/GetById");
    assert_eq!(request.headers()[TE], "trailers");
    assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
    assert_eq!(request.headers()[USER_AGENT], USER_AGENT_TEXT);
}

#[test]
fn what_the_caller_set_stays() {
    let request = Request::post("https://other.example/x")
        .header(USER_AGENT, "mine/1")
        .header(CONTENT_TYPE, "application/grpc+proto")
        .header("x-token", "abc")
        .body(())
        .unwrap();
    let request = completed(request);
    assert_eq!(request.uri(), "http://other.example/x");
    assert_eq!(request.headers()[USER_AGENT], "mine/1");
    assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc+proto");
    assert_eq!(request.headers()["x-token"], "abc");
}

#[test]
fn headers_of_http1_connections_are_taken_out() {
    let request = Request::post("/x")
        .header(TE, "gzip")
        .header(CONNECTION, "keep-alive, x-hop")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "close")
        .header("x-hop", "1")
        .header(UPGRADE, "h2c")
        .header(TRANSFER_ENCODING, "chunked")
        .header(HOST, "elsewhere")
        .header("x-token", "abc")
        .body(())
        .unwrap();
    let request = completed(request);
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "te", "user-agent", "x-token"]);
    assert_eq!(request.headers()[TE], "trailers");
}

#[test]
fn a_request_without_a_path_asks_for_the_root() {
    let mut request = Request::new(());
    *request.uri_mut() = "other:1".parse().unwrap();
    assert_eq!(completed(request).uri(), "http://other:1/");
}

#[test]
fn trailers_are_cleaned_too() {
    let mut trailers = HeaderMap::new();
    trailers.insert(TE, HeaderValue::from_static("trailers"));
    trailers.insert(CONNECTION, HeaderValue::from_static("x-hop"));
    trailers.insert("x-hop", HeaderValue::from_static("1"));
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    clean_trailers(&mut trailers);
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
}
