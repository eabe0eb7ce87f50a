//! Suite `etcd`.
