//! `proto/user.proto` as `prost` and `tonic` write it.

#![allow(missing_docs, reason = "generated")]
#![allow(unreachable_pub, reason = "generated")]
#![allow(clippy::all, clippy::pedantic, reason = "generated")]
#![allow(clippy::use_self, reason = "generated")]
#![allow(clippy::allow_attributes_without_reason, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/_.rs"));
