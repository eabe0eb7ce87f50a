//! The messages of `benches/proto` that are called, over pilota's encoding.

use pilota::pb::encoding::{
    DecodeContext, EncodeLengthContext, WireType, faststr, int64, message, skip_field, uint32,
};
use pilota::pb::{DecodeError, Message};
use pilota::{Bytes, LinkedBytes};
use volo::FastStr;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GetByIdRequest {
    pub(crate) id: i64,
    /// Of bytes in the service, which look the same on the wire.
    pub(crate) padding: FastStr,
}

const PADDING: u32 = 100;

impl Message for GetByIdRequest {
    fn encode_raw(&self, buffer: &mut LinkedBytes) {
        int64::encode(1, &self.id, buffer);
        faststr::encode(PADDING, &self.padding, buffer);
    }

    fn encoded_len(&self, context: &mut EncodeLengthContext) -> usize {
        int64::encoded_len(context, 1, &self.id)
            + faststr::encoded_len(context, PADDING, &self.padding)
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buffer: &mut Bytes,
        context: &mut DecodeContext,
        _: bool,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => int64::merge(wire, &mut self.id, buffer, context),
            PADDING => faststr::merge(wire, &mut self.padding, buffer, context),
            _ => skip_field(wire, tag, buffer, context),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListUsersRequest {
    pub(crate) from_id: i64,
    pub(crate) count: u32,
}

impl Message for ListUsersRequest {
    fn encode_raw(&self, buffer: &mut LinkedBytes) {
        int64::encode(1, &self.from_id, buffer);
        uint32::encode(2, &self.count, buffer);
    }

    fn encoded_len(&self, context: &mut EncodeLengthContext) -> usize {
        int64::encoded_len(context, 1, &self.from_id) + uint32::encoded_len(context, 2, &self.count)
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buffer: &mut Bytes,
        context: &mut DecodeContext,
        _: bool,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => int64::merge(wire, &mut self.from_id, buffer, context),
            2 => uint32::merge(wire, &mut self.count, buffer, context),
            _ => skip_field(wire, tag, buffer, context),
        }
    }
}

/// `GetByIdResponse` and `ListUsersResponse`, which have the same field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserResponse {
    pub(crate) user: Option<User>,
}

impl Message for UserResponse {
    fn encode_raw(&self, buffer: &mut LinkedBytes) {
        if let Some(user) = &self.user {
            message::encode(1, user, buffer);
        }
    }

    fn encoded_len(&self, context: &mut EncodeLengthContext) -> usize {
        let user = self.user.as_ref();
        user.map_or(0, |user| message::encoded_len(context, 1, user))
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buffer: &mut Bytes,
        context: &mut DecodeContext,
        _: bool,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => message::merge(wire, self.user.get_or_insert_default(), buffer, context),
            _ => skip_field(wire, tag, buffer, context),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: FastStr,
}

impl Message for User {
    fn encode_raw(&self, buffer: &mut LinkedBytes) {
        int64::encode(1, &self.id, buffer);
        faststr::encode(2, &self.name, buffer);
    }

    fn encoded_len(&self, context: &mut EncodeLengthContext) -> usize {
        int64::encoded_len(context, 1, &self.id) + faststr::encoded_len(context, 2, &self.name)
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buffer: &mut Bytes,
        context: &mut DecodeContext,
        _: bool,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => int64::merge(wire, &mut self.id, buffer, context),
            2 => faststr::merge(wire, &mut self.name, buffer, context),
            _ => skip_field(wire, tag, buffer, context),
        }
    }
}
