use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Extensions, Request, Uri};

/// What every request of a connection has in common, prepared once.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    scheme: Scheme,
    authority: Authority,
    user_agent: HeaderValue,
}

/// What this library calls itself.
pub(crate) const USER_AGENT_TEXT: &str = concat!("grpc-rust-evenkeel/", env!("CARGO_PKG_VERSION"));

impl Head {
    pub(crate) fn new(tls: bool, authority: &Authority, user_agent: HeaderValue) -> Self {
        // Shared bytes from the start: else the first clone on the hot path would make them so.
        let shared = Bytes::copy_from_slice(authority.as_str().as_bytes());
        Self {
            scheme: if tls { Scheme::HTTPS } else { Scheme::HTTP },
            authority: Authority::from_maybe_shared(shared).expect("it was an authority before"),
            user_agent,
        }
    }

    /// Makes the head of a request as HTTP/2 and gRPC want it. An authority that the request's URI
    /// names itself stays.
    pub(super) fn complete<B>(&self, request: &mut Request<B>) {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(self.scheme.clone());
        if uri.authority.is_none() {
            uri.authority = Some(self.authority.clone());
        }
        if uri.path_and_query.is_none() {
            uri.path_and_query = Some(PathAndQuery::from_static("/"));
        }
        *request.uri_mut() =
            Uri::from_parts(uri).expect("scheme, authority and path are all there");
        // Nothing of them leaves: h2 would look for something there, then empty them in vain.
        *request.extensions_mut() = Extensions::new();

        let headers = request.headers_mut();
        let (mut te, mut content_type, mut user_agent, mut foreign) = (false, false, false, false);
        for (name, value) in headers.iter() {
            if *name == TE {
                te = value == "trailers";
            } else if *name == CONTENT_TYPE {
                content_type = true;
            } else if *name == USER_AGENT {
                user_agent = true;
            } else {
                foreign |= is_foreign(name);
            }
        }
        if foreign {
            remove_foreign(headers);
        }
        if !te {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if !content_type {
            let grpc = HeaderValue::from_static("application/grpc");
            headers.insert(CONTENT_TYPE, grpc);
        }
        if !user_agent {
            headers.insert(USER_AGENT, self.user_agent.clone());
        }
    }
}

/// Trailers as HTTP/2 wants them.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    trailers.remove(TE);
    if trailers.keys().any(is_foreign) {
        remove_foreign(trailers);
    }
}

/// Whether a header belongs to a connection of HTTP/1 (RFC 9113, section 8.2.2), or repeats
/// `:authority`.
fn is_foreign(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == HOST
        || name == "keep-alive"
        || name == "proxy-connection"
}

fn remove_foreign(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, HOST] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

#[cfg(test)]
mod tests;
