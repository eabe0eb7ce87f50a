use std::error::Error;
use std::fmt;

use bytes::Bytes;
use evenkeel_bench_harness::{Caller, Shape};
use http_body::Body;
use tonic::client::GrpcService;

use crate::pb::user_service_client::UserServiceClient;
use crate::pb::{GetByIdRequest, ListUsersRequest};

/// Calls any channel as users do, by the generated client.
pub struct Stub<S> {
    client: UserServiceClient<S>,
    shape: Shape,
    padding: Vec<u8>,
}

impl<S> Stub<S>
where
    S: GrpcService<tonic::body::Body>,
    S::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as Body>::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    /// A caller of `channel`.
    pub fn new(channel: S, shape: Shape) -> Self {
        Self {
            client: UserServiceClient::new(channel),
            shape,
            padding: vec![7; shape.padding()],
        }
    }
}

impl<S> Caller for Stub<S>
where
    S: GrpcService<tonic::body::Body, Future: Send> + Send + Sync + 'static,
    S::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as Body>::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    async fn call(&mut self) {
        match self.shape {
            Shape::Unary | Shape::Unary16k => {
                let request = GetByIdRequest {
                    id: 1,
                    padding: self.padding.clone(),
                };
                let response = self.client.get_by_id(request).await;
                let response = response.expect("the servers answer every call");
                assert!(response.get_ref().user.is_some(), "the user asked for");
            }
            Shape::Stream => {
                let request = ListUsersRequest {
                    from_id: 1,
                    count: Shape::MESSAGES as u32,
                };
                let response = self.client.list_users(request).await;
                let mut users = response.expect("the servers list users").into_inner();
                let mut count = 0;
                while let Some(_user) = users.message().await.expect("a whole list") {
                    count += 1;
                }
                assert_eq!(count, Shape::MESSAGES);
            }
        }
    }
}

impl<S> fmt::Debug for Stub<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").finish_non_exhaustive()
    }
}
