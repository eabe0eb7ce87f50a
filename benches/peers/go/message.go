package main

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of ../../proto that are called. Written by hand
// over protowire: generated code would want protoc and its plugin, or 800 lines of it here. It
// flatters grpc-go: generated messages go through reflection.

type getByIDRequest struct {
	id      int64
	padding string
}

func (m *getByIDRequest) append(b []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(m.id))
	if m.padding != "" {
		b = protowire.AppendTag(b, paddingField, protowire.BytesType)
		b = protowire.AppendString(b, m.padding)
	}
	return b
}

// Not in the demo's message, whose service skips it.
const paddingField = 100

func (m *getByIDRequest) size() int {
	size := protowire.SizeTag(1) + protowire.SizeVarint(uint64(m.id))
	if m.padding != "" {
		size += protowire.SizeTag(paddingField) + protowire.SizeBytes(len(m.padding))
	}
	return size
}

type listUsersRequest struct {
	fromID int64
	count  uint32
}

func (m *listUsersRequest) append(b []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(m.fromID))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(m.count))
}

func (m *listUsersRequest) size() int {
	return protowire.SizeTag(1) + protowire.SizeVarint(uint64(m.fromID)) +
		protowire.SizeTag(2) + protowire.SizeVarint(uint64(m.count))
}

type user struct {
	id   int64
	name string
}

func (m *user) parse(b []byte) error {
	return fields(b, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 1:
			m.id = int64(value)
		case 2:
			m.name = string(bytes)
		}
		return nil
	})
}

// userResponse is GetByIdResponse and ListUsersResponse, which have the same field.
type userResponse struct {
	user *user
}

func (m *userResponse) parse(b []byte) error {
	return fields(b, func(number protowire.Number, _ uint64, bytes []byte) error {
		if number != 1 {
			return nil
		}
		if m.user == nil {
			m.user = &user{}
		}
		return m.user.parse(bytes)
	})
}

func (m *userResponse) check(id int64) error {
	if m.user == nil || m.user.id != id {
		return fmt.Errorf("asked for user %d, got %+v", id, m.user)
	}
	return nil
}

// fields calls one function for each field: with the value of a varint, or with a field's bytes.
func fields(b []byte, each func(protowire.Number, uint64, []byte) error) error {
	for len(b) > 0 {
		number, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		var value uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			value, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(number, kind, b)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		if err := each(number, value, bytes); err != nil {
			return err
		}
	}
	return nil
}

// codec treats buffers as grpc-go's own codec for Protocol Buffers does: small messages have a
// slice of their own, large ones one of the pool.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(value any) (mem.BufferSlice, error) {
	message, ok := value.(interface {
		size() int
		append([]byte) []byte
	})
	if !ok {
		return nil, fmt.Errorf("%T is not a request", value)
	}
	size := message.size()
	if mem.IsBelowBufferPoolingThreshold(size) {
		return mem.BufferSlice{mem.SliceBuffer(message.append(make([]byte, 0, size)))}, nil
	}
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(size)
	*buffer = message.append((*buffer)[:0])
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, value any) error {
	message, ok := value.(interface{ parse([]byte) error })
	if !ok {
		return fmt.Errorf("%T is not a response", value)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return message.parse(buffer.ReadOnlyData())
}
