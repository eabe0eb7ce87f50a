//! gRPC by hand, for contenders without a stub.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, Uri};

use crate::Shape;

/// The path that is called.
#[must_use]
pub const fn path(shape: Shape) -> &'static str {
    match shape {
        Shape::Unary | Shape::Unary16k => "/UserService/GetById",
        Shape::Stream => "/UserService/ListUsers",
    }
}

/// A request's message with its prefix, as protobuf writes it.
#[must_use]
pub fn request(shape: Shape) -> Bytes {
    // id or from_id: 1
    let mut message = vec![1 << 3, 1];
    match shape {
        Shape::Unary => {}
        Shape::Unary16k => {
            // Field 100, of bytes.
            varint(100 << 3 | 2, &mut message);
            varint(shape.padding(), &mut message);
            message.resize(message.len() + shape.padding(), 7);
        }
        Shape::Stream => {
            message.push(2 << 3);
            varint(Shape::MESSAGES, &mut message);
        }
    }
    let length = u32::try_from(message.len()).expect("messages are small");
    [&[0][..], &length.to_be_bytes(), &message].concat().into()
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes of DATA an answer has at least.
#[must_use]
pub const fn least_answer(shape: Shape) -> usize {
    match shape {
        Shape::Unary => 69,
        Shape::Unary16k => 16 << 10,
        Shape::Stream => Shape::MESSAGES * 69,
    }
}

/// Makes a request's head that of a gRPC call.
pub fn head<B>(request: &mut Request<B>, uri: Uri) {
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(USER_AGENT, HeaderValue::from_static("by-hand/1"));
}

/// Looks at the end of a call.
///
/// # Panics
///
/// When it failed, or its answer is too short.
pub fn check(received: usize, least: usize, trailers: Option<&HeaderMap>) {
    let status = trailers.and_then(|trailers| trailers.get("grpc-status"));
    assert_eq!(status, Some(&HeaderValue::from_static("0")));
    assert!(received >= least, "{received} of {least} bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_framed_as_protobuf_would_write_them() {
        assert_eq!(&request(Shape::Unary)[..], [0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(
            &request(Shape::Stream)[..],
            [0, 0, 0, 0, 5, 8, 1, 16, 0xe8, 7]
        );
        let large = request(Shape::Unary16k);
        assert_eq!(large[5..12], [8, 1, 0xa2, 6, 0x80, 0x80, 1]);
        assert_eq!(large.len(), 12 + (16 << 10));
        assert_eq!(large[..5], [0, 0, 0, 0x40, 7]);
    }
}
