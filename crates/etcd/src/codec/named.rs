use std::sync::Arc;

use super::{AutoDetect, Codec, Dubbo, DubboInterface, FyerRpc};
use super::{GoEndpoints, GoFrame, GoMicro, Kitex, Kratos, PlainText, Rpcx, SkyDns};

/// The names that [`codec_named`] knows, without roots.
pub const CODEC_NAMES: &[&str] = &[
    "go",
    "go-zero",
    "kratos",
    "kratos-tls",
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

/// The layout of that name, for configuration files and command lines. Keys of most layouts begin
/// with a root, which may follow: `kratos=/prod/microservices`; without it they begin as the
/// framework has it by default.
///
/// | name | layout |
/// |---|---|
/// | `go` | [`GoEndpoints`]: etcd's Go client, the default |
/// | `go-zero`, `plain` | [`PlainText`] |
/// | `kratos`, `kratos-tls` | [`Kratos`], the second with [`Kratos::tls`]; with a root |
/// | `kitex` | [`Kitex`]; with a root |
/// | `dubbo`, `dubbo-interface` | [`Dubbo`], [`DubboInterface`]; with a root |
/// | `go-micro` | [`GoMicro`]; with a root |
/// | `fyer` | [`FyerRpc`]; with a root |
/// | `rpcx` | [`Rpcx`]; with a root |
/// | `goframe` | [`GoFrame`]; with a root |
/// | `skydns` | [`SkyDns`]; with a root |
/// | `auto` | [`AutoDetect`] |
///
/// ```
/// let codec = evenkeel_etcd::codec_named("kratos").unwrap();
/// assert_eq!(codec.prefix("helloworld"), "/microservices/helloworld/");
/// let codec = evenkeel_etcd::codec_named("kratos=/prod").unwrap();
/// assert_eq!(codec.prefix("helloworld"), "/prod/helloworld/");
/// assert!(evenkeel_etcd::codec_named("nacos").is_none());
/// ```
#[must_use]
pub fn codec_named(name: &str) -> Option<Arc<dyn Codec>> {
    if let Some((name, root)) = name.split_once('=') {
        return rooted(name, root.to_owned());
    }
    Some(match name {
        "go" => Arc::new(GoEndpoints),
        "go-zero" | "plain" => Arc::new(PlainText),
        "kratos" => Arc::new(Kratos::default()),
        "kratos-tls" => rooted(name, Kratos::default().root)?,
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

/// The layout of that name whose keys begin with `root`.
fn rooted(name: &str, root: String) -> Option<Arc<dyn Codec>> {
    Some(match name {
        "kratos" | "kratos-tls" => {
            let tls = name == "kratos-tls";
            Arc::new(Kratos { root, tls })
        }
        "kitex" => Arc::new(Kitex { root }),
        "dubbo" => Arc::new(Dubbo { root }),
        "dubbo-interface" => Arc::new(DubboInterface { root }),
        "go-micro" => Arc::new(GoMicro { root }),
        "fyer" => Arc::new(FyerRpc { root }),
        "rpcx" => Arc::new(Rpcx { root }),
        "goframe" => Arc::new(GoFrame { root }),
        "skydns" => Arc::new(SkyDns { root }),
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

    #[test]
    fn every_layout_with_a_root_takes_another_and_no_other_does() {
        for name in CODEC_NAMES {
            let prefix = |name: &str| codec_named(name).map(|codec| codec.prefix("user"));
            let with_root = prefix(&format!("{name}=/prod/x/"));
            let expected = match *name {
                "go" | "go-zero" | "plain" | "auto" => None,
                "dubbo-interface" => Some("/prod/x/user/providers/"),
                _ => Some("/prod/x/user/"),
            };
            assert_eq!(with_root.as_deref(), expected, "{name}");
        }
        let prefix = codec_named("kratos=").unwrap().prefix("user");
        assert_eq!(prefix, "/user/", "a root that is empty");
    }

    #[test]
    fn kratos_by_name_may_have_tls() {
        let value = br#"{"name":"user","endpoints":["grpc://10.0.0.5:1","grpcs://10.0.0.5:2"]}"#;
        for (name, address) in [
            ("kratos", "10.0.0.5:1"),
            ("kratos-tls", "10.0.0.5:2"),
            ("kratos-tls=/prod", "10.0.0.5:2"),
        ] {
            let codec = codec_named(name).unwrap();
            let decoded = codec.decode("user", "/prod/user/1", value);
            assert_eq!(decoded.unwrap().unwrap().endpoint.to_string(), address);
        }
    }
}
