//! Discovery from and registration in etcd.
