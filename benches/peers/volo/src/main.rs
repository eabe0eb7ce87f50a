//! A volo-grpc client with its default balancer, weighted random, over a fixed discovery. No call
//! has a timeout.

mod client;
mod message;

use std::process::ExitCode;

use evenkeel_bench_harness::{Caller, Options, Shape};
use volo::FastStr;
use volo::discovery::StaticDiscover;
use volo::loadbalance::random::WeightedRandomBalance;
use volo_grpc::client::ClientBuilder;
use volo_grpc::codegen::StreamExt;

use crate::client::{MakeUsers, Users};
use crate::message::{GetByIdRequest, ListUsersRequest};

fn main() -> ExitCode {
    evenkeel_bench_harness::run(connect)
}

async fn connect(options: Options) -> impl Fn() -> Calls {
    let users = ClientBuilder::new(MakeUsers, "users")
        .discover(StaticDiscover::from(options.endpoints))
        .load_balance(WeightedRandomBalance::new())
        .rpc_timeout(None)
        .build();
    move || Calls {
        users: users.clone(),
        shape: options.shape,
    }
}

struct Calls {
    users: Users,
    shape: Shape,
}

impl Caller for Calls {
    async fn call(&mut self) {
        if self.shape != Shape::Stream {
            let request = GetByIdRequest {
                id: 1,
                padding: FastStr::from("x".repeat(self.shape.padding())),
            };
            let response = self.users.get_by_id(request).await;
            let response = response.expect("the servers answer every call");
            assert!(response.into_inner().user.is_some());
            return;
        }
        let count = u32::try_from(Shape::MESSAGES).expect("a thousand");
        let request = ListUsersRequest { from_id: 1, count };
        let response = self.users.list_users(request).await;
        let mut users = response
            .expect("the servers answer every call")
            .into_inner();
        let mut count = 0;
        while let Some(response) = users.next().await {
            assert!(response.expect("streams do not break").user.is_some());
            count += 1;
        }
        assert_eq!(count, Shape::MESSAGES);
    }
}
