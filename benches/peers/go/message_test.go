package main

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
)

func TestRequestsAreEncodedAsTheServiceDefinesThem(t *testing.T) {
	for _, test := range []struct {
		request any
		want    []byte
	}{
		{&getByIDRequest{id: 1}, []byte{0x08, 1}},
		{&getByIDRequest{id: 1, padding: "ab"}, []byte{0x08, 1, 0xa2, 0x06, 2, 'a', 'b'}},
		{&listUsersRequest{fromID: 1, count: 300}, []byte{0x08, 1, 0x10, 0xac, 0x02}},
	} {
		data, err := codec{}.Marshal(test.request)
		if err != nil {
			t.Fatal(err)
		}
		if got := data.Materialize(); !bytes.Equal(got, test.want) {
			t.Errorf("%+v is %x, want %x", test.request, got, test.want)
		}
	}
}

func TestALargeRequestIsWhole(t *testing.T) {
	request := &getByIDRequest{id: 1, padding: string(make([]byte, 16<<10))}
	data, err := codec{}.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Free()
	if data.Len() != request.size() {
		t.Errorf("%d bytes, want %d", data.Len(), request.size())
	}
}

func TestAResponseIsReadWhereverItIsCut(t *testing.T) {
	// A user with the id 1, the name "ab", and a field that is not known here.
	message := []byte{0x0a, 10, 0x08, 1, 0x12, 2, 'a', 'b', 0x58, 1, 0x20, 2}
	for cut := range message {
		data := mem.BufferSlice{mem.SliceBuffer(message[:cut]), mem.SliceBuffer(message[cut:])}
		var response userResponse
		if err := (codec{}).Unmarshal(data, &response); err != nil {
			t.Fatal(err)
		}
		if response.user == nil || *response.user != (user{id: 1, name: "ab"}) {
			t.Errorf("cut at %d: %+v", cut, response.user)
		}
	}
}

func TestATornResponseIsAnError(t *testing.T) {
	for _, message := range [][]byte{{0x0a, 4, 0x08, 1}, {0x0a}, {0x0a, 2, 0x12, 9}, {0x08}} {
		var response userResponse
		if err := response.parse(message); err == nil {
			t.Errorf("%x was read as %+v", message, response)
		}
	}
}
