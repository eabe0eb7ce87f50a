use evenkeel_discover::Presence;

use super::*;

/// The revision of etcd: each request that writes makes one.
async fn revision(client: &mut Client) -> i64 {
    let answer = client.get("nothing", None).await.unwrap();
    answer.header().unwrap().revision()
}

/// All keys under `prefix` and their values.
async fn keys(client: &mut Client, prefix: &str) -> Vec<(String, String)> {
    let options = etcd_client::GetOptions::new().with_prefix();
    let found = client.get(prefix, Some(options)).await.unwrap();
    let text = |found: &etcd_client::KeyValue| {
        let key = found.key_str().unwrap().to_owned();
        (key, found.value_str().unwrap().to_owned())
    };
    found.kvs().iter().map(text).collect()
}

async fn count(client: &mut Client, prefix: &str) -> usize {
    keys(client, prefix).await.len()
}

#[tokio::test]
async fn a_thousand_keys_are_a_few_requests() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let before = revision(&mut client).await;
    let registrations: Vec<_> = (0..1000)
        .map(|n| {
            let endpoint = endpoint(&format!("10.0.{}.{}:80", n / 250, n % 250), 1.0);
            registrar.register("user", endpoint).unwrap()
        })
        .collect();
    for registration in &registrations {
        registered(registration).await;
    }
    assert_eq!(count(&mut client, "user/").await, 1000);
    let written = revision(&mut client).await - before;
    // The first ones may go alone, while the others are still being registered.
    assert!(written <= 30, "{written} requests for 1000 keys");

    let lease = read(&mut client, "user/10.0.0.0:80").await.unwrap().1;
    let before = revision(&mut client).await;
    client.lease_revoke(lease).await.unwrap();
    let back = async {
        while count(&mut client, "user/").await < 1000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("all are back", back).await;
    let written = revision(&mut client).await - before;
    assert!(written <= 30, "{written} requests to write 1000 keys again");
    for registration in &registrations {
        registered(registration).await;
    }

    let before = revision(&mut client).await;
    within("all leave", registrar.shutdown()).await.unwrap();
    assert_eq!(count(&mut client, "user/").await, 0);
    let written = revision(&mut client).await - before;
    assert!(written <= 11, "{written} requests to leave with 1000 keys");
}

/// Services that come, go, pause, drain and change at random, while etcd is stopped, restarted
/// and has its lease revoked: in the end it has what was asked for last.
#[tokio::test]
async fn twenty_services_scale_up_and_down_through_faults() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut random = Random(42);
    let registrar = registrar(&server);
    let mut services: Vec<Option<Wish>> = (0..20).map(|_| None).collect();
    for round in 0..6 {
        match round {
            1 => server.stop().await,
            2 => server.start_again().await,
            3 => server.pause(),
            4 => server.resume(),
            5 => revoke_all(&mut server.client().await).await,
            _ => {}
        }
        for _ in 0..60 {
            let n = random.below(20);
            let service = format!("service-{n:02}");
            let place = &mut services[n];
            match place {
                None => {
                    let registration = registrar.register(&service, endpoint(A, 1.0));
                    *place = Some(Wish {
                        registration: registration.unwrap(),
                        weight: 1.0,
                        presence: Presence::Listed,
                    });
                }
                Some(wish) => match random.below(5) {
                    0 => *place = None,
                    1 => wish.present(Presence::Paused),
                    2 => wish.present(Presence::Draining),
                    3 => wish.present(Presence::Listed),
                    _ => {
                        wish.weight += 1.0;
                        let metadata = Metadata::default().with_weight(wish.weight);
                        wish.registration.update(metadata).unwrap();
                    }
                },
            }
            tokio::task::yield_now().await;
        }
    }
    let mut expected = Vec::new();
    for (n, place) in services.iter().enumerate() {
        let Some(wish) = place else { continue };
        let status = match wish.presence {
            Presence::Listed => "",
            Presence::Draining => r#""status":"draining","#,
            Presence::Paused => {
                let paused = within("it is paused", wish.registration.paused());
                paused.await.unwrap();
                continue;
            }
        };
        registered(&wish.registration).await;
        let weight = wish.weight;
        let value = format!(r#"{{"Op":0,"Addr":"{A}","Metadata":{{{status}"weight":{weight}}}}}"#);
        expected.push((format!("service-{n:02}/{A}"), value));
    }
    assert!(expected.len() > 3, "{expected:?}");
    let mut client = server.client().await;
    // What was dropped leaves in the background.
    let settled = async {
        while keys(&mut client, "service-").await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("etcd has what was asked for last", settled).await;
}

struct Wish {
    registration: Registration,
    weight: f64,
    presence: Presence,
}

impl Wish {
    fn present(&mut self, presence: Presence) {
        self.presence = presence;
        let registration = &self.registration;
        let presented = match presence {
            Presence::Listed => registration.resume(),
            Presence::Draining => registration.drain(),
            Presence::Paused => registration.pause(),
        };
        presented.unwrap();
    }
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX; the low bits are poor.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

async fn revoke_all(client: &mut Client) {
    for lease in client.leases().await.unwrap().leases() {
        client.lease_revoke(lease.id()).await.unwrap();
    }
}
