use std::sync::Arc;

use super::{AutoDetect, Codec, Dubbo, DubboInterface, FyerRpc};
use super::{GoEndpoints, GoFrame, GoMicro, Kitex, Kratos, PlainText, Rpcx, SkyDns};

/// The names that [`codec_named`] knows.
pub const CODEC_NAMES: &[&str] = &[
    "go",
    "go-zero",
    "kratos",
    "kitex",
    "dubbo",
    "dubbo-interface",
    "go-micro",
    "fyer",
    "rpcx",
    "goframe",
    "skydns",
    "plain",
    "auto",
];

/// The layout of that name, with its defaults; for configuration files and command lines.
///
/// | name | layout |
/// |---|---|
/// | `go` | [`GoEndpoints`]: etcd's Go client, the default |
/// | `go-zero`, `plain` | [`PlainText`] |
/// | `kratos` | [`Kratos`] |
/// | `kitex` | [`Kitex`] |
/// | `dubbo`, `dubbo-interface` | [`Dubbo`], [`DubboInterface`] |
/// | `go-micro` | [`GoMicro`] |
/// | `fyer` | [`FyerRpc`] |
/// | `rpcx` | [`Rpcx`] |
/// | `goframe` | [`GoFrame`] |
/// | `skydns` | [`SkyDns`] |
/// | `auto` | [`AutoDetect`] |
///
/// ```
/// let codec = evenkeel_etcd::codec_named("kratos").unwrap();
/// assert_eq!(codec.prefix("helloworld"), "/microservices/helloworld/");
/// assert!(evenkeel_etcd::codec_named("nacos").is_none());
/// ```
#[must_use]
pub fn codec_named(name: &str) -> Option<Arc<dyn Codec>> {
    Some(match name {
        "go" => Arc::new(GoEndpoints),
        "go-zero" | "plain" => Arc::new(PlainText),
        "kratos" => Arc::new(Kratos::default()),
        "kitex" => Arc::new(Kitex::default()),
        "dubbo" => Arc::new(Dubbo::default()),
        "dubbo-interface" => Arc::new(DubboInterface::default()),
        "go-micro" => Arc::new(GoMicro::default()),
        "fyer" => Arc::new(FyerRpc::default()),
        "rpcx" => Arc::new(Rpcx::default()),
        "goframe" => Arc::new(GoFrame::default()),
        "skydns" => Arc::new(SkyDns::default()),
        "auto" => Arc::new(AutoDetect::default()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_layout_and_nothing_else_has() {
        for name in CODEC_NAMES {
            assert!(codec_named(name).is_some(), "{name}");
        }
        assert!(codec_named("Go").is_none() && codec_named("").is_none());
    }
}
