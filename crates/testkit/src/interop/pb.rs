//! `proto/grpc/testing` as `prost` and `tonic` write it.

#![allow(missing_docs, reason = "generated")]
#![allow(unreachable_pub, unused_qualifications, reason = "generated")]
#![allow(clippy::all, clippy::pedantic, reason = "generated")]
#![allow(clippy::exhaustive_enums, clippy::use_self, reason = "generated")]
#![allow(clippy::allow_attributes_without_reason, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));
