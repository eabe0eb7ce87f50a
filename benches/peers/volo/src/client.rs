//! A client of the service. It does what `volo-build` generates, whose generator would take longer
//! to build than all peers.

use volo::client::MkClient;
use volo::service::{BoxCloneService, Service};
use volo_grpc::body::BoxBody;
use volo_grpc::codec::compression::CompressionEncoding;
use volo_grpc::codec::decode::Kind;
use volo_grpc::codec::encode::encode;
use volo_grpc::codegen::futures::stream::once;
use volo_grpc::codegen::futures::{TryStreamExt, future};
use volo_grpc::codegen::{Bytes, Frame};
use volo_grpc::context::ClientContext;
use volo_grpc::{
    BoxStream, Client, Code, RecvEntryMessage, RecvStream, Request, Response, SendEntryMessage,
    Status,
};

use crate::message::{GetByIdRequest, ListUsersRequest, UserResponse};

const GET_BY_ID: &str = "/UserService/GetById";
const LIST_USERS: &str = "/UserService/ListUsers";

type Transport = BoxCloneService<ClientContext, Request<Requests>, Response<Responses>, Status>;

/// Makes the client of what the builder has built.
pub(crate) struct MakeUsers;

/// A client of the service.
#[derive(Clone)]
pub(crate) struct Users(Client<Transport>);

impl MkClient<Client<Transport>> for MakeUsers {
    type Target = Users;

    fn mk_client(&self, client: Client<Transport>) -> Users {
        Users(client)
    }
}

impl Users {
    pub(crate) async fn get_by_id(
        &self,
        message: GetByIdRequest,
    ) -> Result<Response<UserResponse>, Status> {
        let message = Box::pin(once(future::ready(Ok(message))));
        let mut context = self.0.make_cx(GET_BY_ID);
        let request = Request::new(Requests::GetById(message));
        let response = self.0.call(&mut context, request).await?;
        let (mut metadata, extensions, responses) = response.into_parts();
        let Responses(mut messages) = responses;
        let message = messages.try_next().await?;
        let message =
            message.ok_or_else(|| Status::new(Code::Internal, "Missing response message."))?;
        if let Some(trailers) = messages.trailers().await? {
            metadata.merge(trailers);
        }
        Ok(Response::from_parts(metadata, extensions, message))
    }

    pub(crate) async fn list_users(
        &self,
        message: ListUsersRequest,
    ) -> Result<Response<RecvStream<UserResponse>>, Status> {
        let message = Box::pin(once(future::ready(Ok(message))));
        let mut context = self.0.make_cx(LIST_USERS);
        let request = Request::new(Requests::ListUsers(message));
        let response = self.0.call(&mut context, request).await?;
        Ok(response.map(|Responses(messages)| messages))
    }
}

/// The requests of all methods.
pub(crate) enum Requests {
    GetById(BoxStream<'static, Result<GetByIdRequest, Status>>),
    ListUsers(BoxStream<'static, Result<ListUsersRequest, Status>>),
}

impl SendEntryMessage for Requests {
    fn into_body(
        self,
        compression: Option<CompressionEncoding>,
    ) -> BoxStream<'static, Result<Frame<Bytes>, Status>> {
        match self {
            Self::GetById(messages) => encode(messages, compression),
            Self::ListUsers(messages) => encode(messages, compression),
        }
    }
}

/// The responses of all methods, which are of one type.
pub(crate) struct Responses(RecvStream<UserResponse>);

impl RecvEntryMessage for Responses {
    fn from_body(
        method: Option<&str>,
        body: BoxBody,
        kind: Kind,
        compression: Option<CompressionEncoding>,
    ) -> Result<Self, Status> {
        match method {
            Some(GET_BY_ID | LIST_USERS) => Ok(Self(RecvStream::new(body, kind, compression))),
            _ => Err(Status::new(Code::Unimplemented, "Method not found.")),
        }
    }
}
