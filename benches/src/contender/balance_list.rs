//! tonic's own balanced channel, as it comes.

use tonic::transport::{Channel, Endpoint};

use super::Contender;
use crate::load::Stub;

pub(super) const CONTENDER: Contender = Contender {
    name: "balance_list",
    connect: |addresses| {
        Box::pin(async move {
            let endpoints = addresses.iter().map(|address| {
                let endpoint = Endpoint::try_from(format!("http://{address}"));
                endpoint.expect("an address makes a URI")
            });
            Box::new(Stub(Channel::balance_list(endpoints))) as _
        })
    },
};
