use evenkeel_core::Metadata;
use proptest::prelude::*;

use super::*;

/// A sample: the layout, the service, a key and its value, as frameworks write them or as their
/// documentation shows them, and what it says.
pub(crate) struct Sample {
    pub(crate) layout: &'static str,
    pub(crate) service: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    /// The address and the weight, or why there is none.
    pub(crate) says: Result<(&'static str, Option<f64>), &'static str>,
}

pub(crate) const SAMPLES: &[Sample] = &[
    Sample {
        layout: "go",
        service: "service/user",
        key: "service/user/127.0.0.1:8090",
        value: r#"{"Op":0,"Addr":"127.0.0.1:8090","Metadata":{"weight":10}}"#,
        says: Ok(("127.0.0.1:8090", Some(10.0))),
    },
    Sample {
        layout: "go",
        service: "my-service",
        key: "my-service/1.2.3.4",
        // etcd's own documentation: it cannot be dialled, in Go neither.
        value: r#"{"Addr":"1.2.3.4","Metadata":"..."}"#,
        says: Err("port is missing"),
    },
    Sample {
        layout: "go",
        service: "foo/bar/my-service",
        key: "foo/bar/my-service/e1",
        value: r#"{"Op":0,"Addr":"127.0.0.1:8090","Metadata":null}"#,
        says: Ok(("127.0.0.1:8090", None)),
    },
    Sample {
        layout: "go-zero",
        service: "user.rpc",
        key: "user.rpc/7587869142512345678",
        value: "192.168.1.10:8080",
        says: Ok(("192.168.1.10:8080", None)),
    },
    Sample {
        layout: "kratos",
        service: "helloworld",
        key: "/microservices/helloworld/8f5e7c1a-0a4f-11ef-9a3b-0242ac120002",
        value: r#"{"id":"8f5e7c1a-0a4f-11ef-9a3b-0242ac120002","name":"helloworld","version":"v1.0.0","metadata":{"weight":"100"},"endpoints":["http://10.0.0.5:8000","grpc://10.0.0.5:9000"]}"#,
        says: Ok(("10.0.0.5:9000", Some(100.0))),
    },
    Sample {
        layout: "kitex",
        service: "user",
        key: "kitex/registry-etcd/user/10.0.0.5:8888",
        value: r#"{"network":"tcp","address":"10.0.0.5:8888","weight":10,"tags":null}"#,
        says: Ok(("10.0.0.5:8888", Some(10.0))),
    },
    Sample {
        layout: "dubbo",
        service: "user-app",
        key: "/services/user-app/10.0.0.5:20000",
        value: r#"{"ID":"10.0.0.5:20000","ServiceName":"user-app","Host":"10.0.0.5","Port":20000,"Weight":100,"Enable":true,"Healthy":true,"Metadata":{"dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]"},"ServiceMetadata":null,"Address":"10.0.0.5:20000","GroupName":"","Tag":""}"#,
        says: Ok(("10.0.0.5:20000", Some(100.0))),
    },
    Sample {
        layout: "dubbo-interface",
        service: "com.acme.User",
        key: "/dubbo/com.acme.User/providers/tri%3A%2F%2F10.0.0.5%3A20000%2Fcom.acme.User%3Fcategory%3Dproviders",
        value: "",
        says: Ok(("10.0.0.5:20000", Some(100.0))),
    },
    Sample {
        layout: "dubbo-interface",
        service: "com.acme.User",
        key: "/dubbo/com.acme.User/providers/tri%3A%2F%2F10.0.0.5%3A20000%2Fcom.acme.User%3Fside%3Dprovider",
        // Dubbo in Java: the lease's number.
        value: "7587869142512345678",
        says: Ok(("10.0.0.5:20000", Some(100.0))),
    },
    Sample {
        layout: "go-micro",
        service: "greeter",
        key: "/micro/registry/greeter/greeter-2e7a6f0c-4f8e-4b53-9a5c-3a8d2f1b7c11",
        value: r#"{"name":"greeter","version":"latest","metadata":null,"endpoints":[{"name":"Greeter.Hello","request":null,"response":null,"metadata":{}}],"nodes":[{"id":"greeter-2e7a6f0c-4f8e-4b53-9a5c-3a8d2f1b7c11","address":"10.0.0.5:41321","metadata":{"protocol":"grpc"}}]}"#,
        says: Ok(("10.0.0.5:41321", None)),
    },
    Sample {
        layout: "fyer",
        service: "user-service",
        key: "/fyerrpc/services/user-service/1.0.0/7f3c",
        value: r#"{"id":"7f3c","service":"user-service","version":"1.0.0","address":"10.0.0.5:8001","metadata":{},"status":1,"updated_at":1744374219}"#,
        says: Ok(("10.0.0.5:8001", None)),
    },
    Sample {
        layout: "rpcx",
        service: "Arith",
        key: "/rpcx/Arith/tcp@10.0.0.5:8972",
        value: "weight=10&state=active&calls=12.30",
        says: Ok(("10.0.0.5:8972", Some(10.0))),
    },
    Sample {
        layout: "goframe",
        service: "user",
        key: "/service/default/default/user/latest/10.0.0.5:9000",
        value: r#"{"protocol":"grpc","insecure":true,"weight":10}"#,
        says: Ok(("10.0.0.5:9000", Some(10.0))),
    },
    Sample {
        layout: "skydns",
        service: "svc.local",
        key: "/skydns/local/svc/x1",
        value: r#"{"host":"10.0.0.5","port":8080,"weight":10,"ttl":60}"#,
        says: Ok(("10.0.0.5:8080", Some(10.0))),
    },
    Sample {
        layout: "plain",
        service: "/services/web",
        key: "/services/web/x1",
        value: "10.0.0.5:49169",
        says: Ok(("10.0.0.5:49169", None)),
    },
];

fn all() -> impl Iterator<Item = (&'static str, std::sync::Arc<dyn Codec>)> {
    CODEC_NAMES
        .iter()
        .map(|name| (*name, codec_named(name).unwrap()))
}

#[test]
fn every_sample_is_found_and_read() {
    for sample in SAMPLES {
        let codec = codec_named(sample.layout).unwrap();
        let prefix = codec.prefix(sample.service);
        assert!(sample.key.starts_with(&prefix), "{prefix}: {}", sample.key);
        let decoded = codec.decode(sample.service, sample.key, sample.value.as_bytes());
        let (address, weight) = match sample.says {
            Ok(says) => says,
            Err(why) => {
                let error = decoded.unwrap_err().to_string();
                assert!(error.contains(why), "{}: {error}", sample.key);
                continue;
            }
        };
        let decoded = decoded.unwrap().expect("it is this service's");
        let key = sample.key;
        assert_eq!(decoded.endpoint.to_string(), address, "{key}");
        assert_eq!(decoded.endpoint.metadata().weight, weight, "{key}");
        assert_eq!(decoded.remark, None, "{key}");
    }
}

#[test]
fn every_prefix_ends_in_one_slash_and_none_is_within_a_neighbours() {
    let services = ["user", "user-admin", "users", "a b", "service/user", "用户"];
    for (name, codec) in all() {
        for service in services {
            let prefix = codec.prefix(service);
            assert!(
                prefix.ends_with('/') && !prefix.ends_with("//"),
                "{name}: {prefix}"
            );
            assert_eq!(prefix, codec.prefix(&format!("{service}/")), "{name}");
            let others = services.iter().filter(|other| **other != service);
            for other in others {
                assert!(!codec.prefix(other).starts_with(&prefix), "{name}: {other}");
            }
        }
    }
}

#[test]
fn a_layout_writes_or_says_that_it_does_not() {
    let endpoint = Endpoint::new("10.0.0.5:80".parse::<evenkeel_core::Address>().unwrap());
    for (name, codec) in all() {
        let key = codec.key("user", &endpoint);
        assert!(key.starts_with(&codec.prefix("user")), "{name}: {key}");
        match codec.encode("user", &endpoint) {
            Ok(value) => {
                let decoded = codec.decode("user", &key, &value).unwrap().unwrap();
                assert_eq!(decoded.endpoint.addresses(), endpoint.addresses(), "{name}");
            }
            Err(CodecError::ReadOnly { layout }) => assert_eq!(layout, name),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// What may stand in a value, so that more than the first check is reached.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<f32>().prop_map(|it| serde_json::Value::from(it).to_string()),
        "[a-z:/?=0-9.]{0,12}".prop_map(|it| format!("{it:?}")),
        Just(r#""10.0.0.5:80""#.to_owned()),
        Just(r#""user""#.to_owned()),
    ];
    let names = SAMPLES.iter().flat_map(|sample| sample.value.split('"'));
    let names: Vec<_> = names.map(ToOwned::to_owned).collect();
    leaf.prop_recursive(3, 24, 6, move |inner| {
        let name = prop::sample::select(names.clone());
        let field = (name, inner.clone()).prop_map(|(name, value)| format!("{name:?}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec(field, 0..6).prop_map(|list| format!("{{{}}}", list.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        service in ".{0,8}",
        key in ".{0,40}",
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for (_, codec) in all() {
            let _ = codec.decode(&service, &key, &value);
            let _ = codec.decode(&service, &format!("{}{key}", codec.prefix(&service)), &value);
        }
    }

    #[test]
    fn any_json_is_survived_and_yields_only_what_can_be_dialled(value in json()) {
        for (_, codec) in all() {
            let key = format!("{}10.0.0.5:80", codec.prefix("user"));
            if let Ok(Some(decoded)) = codec.decode("user", &key, value.as_bytes()) {
                let addresses = decoded.endpoint.addresses();
                prop_assert!(addresses.iter().all(|address| !address.is_unspecified()));
                let weight = decoded.endpoint.metadata().weight;
                prop_assert!(weight.is_none_or(|weight| weight.is_finite() && weight >= 0.0));
            }
        }
    }

    #[test]
    fn what_any_layout_writes_it_reads(weight in prop::option::of(0..1000_u32), port in 1..=u16::MAX) {
        let address = evenkeel_core::Address::Ip(([10, 0, 0, 5], port).into());
        let mut metadata = Metadata::default();
        metadata.weight = weight.map(f64::from);
        let endpoint = Endpoint::new(address).with_metadata(metadata);
        for (name, codec) in all() {
            let Ok(value) = codec.encode("user", &endpoint) else {
                continue;
            };
            let decoded = codec.decode("user", &codec.key("user", &endpoint), &value);
            let decoded = decoded.unwrap().unwrap();
            prop_assert_eq!(decoded.endpoint.addresses(), endpoint.addresses(), "{}", name);
            // Without a weight, a layout may have one that it means.
            if weight.is_some() {
                prop_assert_eq!(decoded.endpoint.metadata().weight, endpoint.metadata().weight);
            }
        }
    }
}
