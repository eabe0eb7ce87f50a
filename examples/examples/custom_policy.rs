//! An LB policy of your own: registered by name, selected from the service config's JSON.
//!
//! It sends all calls of one tenant to the same server, as long as that server is READY.

use std::error::Error;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Instant;

use evenkeel::discover::StaticDiscover;
use evenkeel::policy::lb::petiole;
use evenkeel::{Channel, EndpointId, EndpointIndex, Pick, PickArgs, Picker, Policy};
use evenkeel::{PolicyRegistry, Update, View};
use evenkeel_testkit::UserServer;
use evenkeel_testkit::pb::{GetByIdRequest, user_service_client::UserServiceClient};

/// The policy lives as long as its channel and is shown every change; it has the header's name.
struct Sticky(Arc<str>);

impl Policy for Sticky {
    fn update(&mut self, _now: Instant, view: &View<'_>) -> Update {
        let header = self.0.clone();
        // States and connections as round_robin has them; only the pick is ours.
        petiole(view, |ready| {
            let ready = ready.iter().map(|(index, one)| (*index, one.id)).collect();
            Arc::new(StickyPicker { header, ready })
        })
    }
}

/// The picker is an immutable snapshot: many calls pick from it at once.
#[derive(Debug)]
struct StickyPicker {
    header: Arc<str>,
    ready: Vec<(EndpointIndex, EndpointId)>,
}

impl Picker for StickyPicker {
    fn pick(&self, call: &PickArgs<'_>) -> Pick {
        let tenant = call.headers.get(&*self.header);
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(tenant) as usize;
        let first = hash % self.ready.len();
        let mut in_turn = self.ready[first..].iter().chain(&self.ready[..first]);
        // A retry goes elsewhere, if there is an elsewhere.
        let untried = in_turn.find(|(_, id)| !call.tried.contains(id));
        Pick::Endpoint(untried.unwrap_or(&self.ready[first]).0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = [UserServer::start().await?, UserServer::start().await?];
    let mut policies = PolicyRegistry::default();
    policies.register_fn("acme.sticky", |config| {
        let header: Arc<str> = config.required("header", |field| field.text())?.into();
        Ok(move || Sticky(header.clone()))
    });
    let channel = Channel::builder("static:///user-service")
        .discover(StaticDiscover::new(
            servers.iter().map(UserServer::endpoint),
        ))
        .policies(policies)
        .service_config(r#"{"loadBalancingConfig": [{"acme.sticky": {"header": "x-tenant"}}]}"#)
        .build()?;
    channel.wait_until_ready().await?;

    let mut client = UserServiceClient::new(channel);
    for tenant in ["ann", "bob", "ann", "bob", "ann"] {
        let mut request = tonic::Request::new(GetByIdRequest { id: 123 });
        request.metadata_mut().insert("x-tenant", tenant.parse()?);
        let response = client.get_by_id(request).await?;
        println!("{tenant}: {:?}", response.metadata().get("served-by"));
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
