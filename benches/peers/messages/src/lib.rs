//! The messages of `benches/proto` that are called, for peers whose messages are prost's. As
//! prost's generator writes them; written by hand, they need no compiler for so few.

/// Where `GetById` is called.
pub const GET_BY_ID: &str = "/UserService/GetById";
/// Where `ListUsers` is called.
pub const LIST_USERS: &str = "/UserService/ListUsers";

/// Asks for one user.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetByIdRequest {
    /// The user's id.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Makes the request larger.
    #[prost(bytes = "vec", tag = "100")]
    pub padding: Vec<u8>,
}

/// Asks for several users.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ListUsersRequest {
    /// The first id.
    #[prost(int64, tag = "1")]
    pub from_id: i64,
    /// How many users.
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

/// `GetByIdResponse` and `ListUsersResponse`, which have the same field.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UserResponse {
    /// The user.
    #[prost(message, optional, tag = "1")]
    pub user: Option<User>,
}

/// A user.
#[derive(Clone, PartialEq, prost::Message)]
pub struct User {
    /// Which.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// The name.
    #[prost(string, tag = "2")]
    pub name: String,
}

impl GetByIdRequest {
    /// A request for the first user that carries so many bytes beside its id.
    #[must_use]
    pub fn of(padding: usize) -> Self {
        let padding = vec![b'x'; padding];
        Self { id: 1, padding }
    }
}

impl ListUsersRequest {
    /// A request for the first `count` users.
    #[must_use]
    pub fn of(count: usize) -> Self {
        let count = u32::try_from(count).expect("so many users are not asked for");
        Self { from_id: 1, count }
    }
}
