use std::sync::Arc;

use tokio_stream::StreamExt;
use tonic::codegen::BoxStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::SERVED_BY;
use super::incarnation::Setup;
use super::seen::Method;
use crate::pb::user_service_server::UserService;
use crate::pb::{
    Address, Gender, GetByIdRequest, GetByIdResponse, ImportUsersRequest, ImportUsersResponse,
    ListUsersRequest, ListUsersResponse, SyncUsersRequest, SyncUsersResponse, User, user,
};

/// The service itself.
#[derive(Debug)]
pub(super) struct Users(pub(super) Arc<Setup>);

/// A call that is running; one that is dropped before its end was cancelled.
struct Running {
    setup: Arc<Setup>,
    ended: bool,
}

impl Running {
    fn begin(setup: &Arc<Setup>, method: Method, metadata: &MetadataMap) -> Self {
        setup.counters.begin(method, metadata);
        Self {
            setup: setup.clone(),
            ended: false,
        }
    }

    fn end(mut self) {
        self.ended = true;
    }

    /// Ends a call that fails, with a status that says who failed it.
    fn fail(self, mut status: Status) -> Status {
        status.metadata_mut().insert(SERVED_BY, self.setup.value());
        self.end();
        status
    }

    fn respond<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        let metadata = response.metadata_mut();
        metadata.insert(SERVED_BY, self.setup.value());
        response
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.setup.counters.count(|seen| {
            seen.in_flight -= 1;
            seen.cancelled += u64::from(!self.ended);
        });
    }
}

impl Setup {
    fn value(&self) -> MetadataValue<tonic::metadata::Ascii> {
        self.name.parse().expect("names of tests are ASCII")
    }

    fn user(&self, id: i64) -> User {
        User {
            id,
            name: format!("user {id}"),
            avatar: self.script.avatar(),
            attributes: [(SERVED_BY.to_owned(), self.name.clone())].into(),
            nicknames: vec![format!("u{id}")],
            age: Some(42),
            address: Some(Address {
                province: "Zhejiang".to_owned(),
                city: "Hangzhou".to_owned(),
            }),
            gender: Gender::Unspecified.into(),
            contact: Some(user::Contact::Email(format!("user{id}@example.com"))),
        }
    }

    fn stored(&self, user: Option<User>) -> User {
        let mut user = user.unwrap_or_default();
        let name = self.name.clone();
        user.attributes.insert(SERVED_BY.to_owned(), name);
        user
    }
}

#[tonic::async_trait]
impl UserService for Users {
    type ListUsersStream = BoxStream<ListUsersResponse>;
    type SyncUsersStream = BoxStream<SyncUsersResponse>;

    async fn get_by_id(
        &self,
        request: Request<GetByIdRequest>,
    ) -> Result<Response<GetByIdResponse>, Status> {
        let running = Running::begin(&self.0, Method::GetById, request.metadata());
        if let Err(status) = self.0.script.admit().await {
            return Err(running.fail(status));
        }
        let response = running.respond(GetByIdResponse {
            user: Some(self.0.user(request.into_inner().id)),
        });
        running.end();
        Ok(response)
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        let running = Running::begin(&self.0, Method::ListUsers, request.metadata());
        let mut admitted = match self.0.script.admit().await {
            Ok(admitted) => admitted,
            Err(status) => return Err(running.fail(status)),
        };
        let ListUsersRequest { from_id, count } = request.into_inner();
        let setup = self.0.clone();
        let response = running.respond(());
        let last = match count {
            0 => i64::MAX,
            count => from_id + i64::from(count),
        };
        let users = futures_util::stream::unfold((from_id, Some(running)), move |(id, running)| {
            let setup = setup.clone();
            let next = admitted.message();
            async move {
                let running = running?;
                if id == last {
                    running.end();
                    return None;
                }
                setup.script.gate.pass().await;
                if let Err(status) = next {
                    return Some((Err(running.fail(status)), (id, None)));
                }
                let user = Some(setup.user(id));
                Some((Ok(ListUsersResponse { user }), (id + 1, Some(running))))
            }
        });
        Ok(response.map(|()| Box::pin(users) as Self::ListUsersStream))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        let running = Running::begin(&self.0, Method::ImportUsers, request.metadata());
        if let Err(status) = self.0.script.admit().await {
            return Err(running.fail(status));
        }
        let mut users = request.into_inner();
        let mut stored = 0;
        loop {
            match users.message().await {
                Ok(Some(_)) => {
                    self.0.counters.count(|seen| seen.messages_in += 1);
                    self.0.script.gate.pass().await;
                    stored += 1;
                }
                Ok(None) => break,
                // The caller is gone: the call is dropped unended.
                Err(status) => return Err(status),
            }
        }
        let response = running.respond(ImportUsersResponse { stored });
        running.end();
        Ok(response)
    }

    async fn sync_users(
        &self,
        request: Request<Streaming<SyncUsersRequest>>,
    ) -> Result<Response<Self::SyncUsersStream>, Status> {
        let running = Running::begin(&self.0, Method::SyncUsers, request.metadata());
        let mut admitted = match self.0.script.admit().await {
            Ok(admitted) => admitted,
            Err(status) => return Err(running.fail(status)),
        };
        let response = running.respond(());
        let users = request.into_inner();
        let users =
            futures_util::stream::unfold((users, Some(running)), move |(mut users, running)| {
                let next = admitted.message();
                async move {
                    let running = running?;
                    let user = match users.next().await {
                        Some(Ok(request)) => request.user,
                        // The caller is gone: the call is dropped unended.
                        Some(Err(_)) => return None,
                        None => {
                            running.end();
                            return None;
                        }
                    };
                    let setup = running.setup.clone();
                    setup.counters.count(|seen| seen.messages_in += 1);
                    setup.script.gate.pass().await;
                    if let Err(status) = next {
                        return Some((Err(running.fail(status)), (users, None)));
                    }
                    let user = Some(setup.stored(user));
                    Some((Ok(SyncUsersResponse { user }), (users, Some(running))))
                }
            });
        Ok(response.map(|()| Box::pin(users) as Self::SyncUsersStream))
    }
}
