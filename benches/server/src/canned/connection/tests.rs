use evenkeel_bench_harness::Shape;

use super::super::frame::HEAD;
use super::*;

/// A client that has sent the preface and these settings.
fn connection(shape: Shape, settings: &[u8]) -> Connection {
    let mut connection = Connection::new(Arc::new(Frames::new(shape)));
    let mut input = PREFACE.to_vec();
    write(kind::SETTINGS, 0, 0, settings, &mut input);
    let mut output = Vec::new();
    assert_eq!(connection.receive(&input, &mut output), Ok(input.len()));
    connection
}

fn request(stream: u32) -> Vec<u8> {
    let mut input = Vec::new();
    write(
        kind::HEADERS,
        flag::END_HEADERS,
        stream,
        b"\x83",
        &mut input,
    );
    write(kind::DATA, flag::END_STREAM, stream, &[0; 7], &mut input);
    input
}

fn receive(connection: &mut Connection, input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    assert_eq!(connection.receive(input, &mut output), Ok(input.len()));
    output
}

/// Everything that it writes now.
fn answer(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut output = Vec::new();
        let more = connection.answer(&mut output);
        all.append(&mut output);
        if !more {
            return all;
        }
    }
}

fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some(frame) = Frame::first(bytes).unwrap() {
        bytes = &bytes[frame.size()..];
        frames.push(frame);
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

fn data(bytes: &[u8], stream: u32) -> usize {
    frames(bytes)
        .iter()
        .filter(|frame| (frame.kind, frame.stream) == (kind::DATA, stream))
        .map(|frame| frame.payload.len())
        .sum()
}

fn update(stream: u32, more: u32) -> Vec<u8> {
    let mut input = Vec::new();
    write(
        kind::WINDOW_UPDATE,
        0,
        stream,
        &more.to_be_bytes(),
        &mut input,
    );
    input
}

#[test]
fn answers_headers_one_message_and_trailers() {
    let mut connection = connection(Shape::Unary, &[]);
    for (stream, sizes) in [(1, [19, 69, 15]), (3, [2, 69, 1])] {
        receive(&mut connection, &request(stream));
        let output = answer(&mut connection);
        let frames = frames(&output);
        let kinds: Vec<_> = frames
            .iter()
            .map(|frame| (frame.kind, frame.flags))
            .collect();
        let ends = flag::END_HEADERS | flag::END_STREAM;
        let expected = [
            (kind::HEADERS, flag::END_HEADERS),
            (kind::DATA, 0),
            (kind::HEADERS, ends),
        ];
        assert_eq!(kinds, expected);
        assert!(frames.iter().all(|frame| frame.stream == stream));
        let lengths: Vec<_> = frames.iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lengths, sizes, "the second answer comes from the table");
    }
    assert!(connection.streams.is_empty());
}

#[test]
fn takes_frames_in_pieces() {
    let mut connection = connection(Shape::Unary, &[]);
    let input = request(1);
    let mut output = Vec::new();
    assert_eq!(connection.receive(&input[..12], &mut output), Ok(10));
    assert_eq!(
        connection.receive(&input[10..], &mut output),
        Ok(input.len() - 10)
    );
    assert_eq!(data(&answer(&mut connection), 1), 69);
}

#[test]
fn a_message_of_its_own_frame_each() {
    let mut connection = connection(Shape::Stream, b"\0\x04\0\x10\0\0");
    receive(&mut connection, &update(0, 1 << 20));
    receive(&mut connection, &request(1));
    let output = answer(&mut connection);
    assert_eq!(frames(&output).len(), Shape::MESSAGES + 2);
    assert_eq!(data(&output, 1), Shape::MESSAGES * 69);
}

#[test]
fn keeps_within_the_window_of_a_stream_and_of_the_connection() {
    let mut connection = connection(Shape::Stream, b"\0\x04\0\0\x03\xe8");
    receive(&mut connection, &request(1));
    receive(&mut connection, &request(3));
    let output = answer(&mut connection);
    assert_eq!((data(&output, 1), data(&output, 3)), (1_000, 1_000));
    assert!(answer(&mut connection).is_empty());

    receive(&mut connection, &update(1, 1 << 20));
    let left = 65_535 - 2_000;
    assert_eq!(data(&answer(&mut connection), 1), left);
    receive(&mut connection, &update(0, 1 << 20));
    let output = answer(&mut connection);
    assert_eq!(data(&output, 1), Shape::MESSAGES * 69 - 1_000 - left);
    assert_eq!(frames(&output).last().unwrap().kind, kind::HEADERS);

    // The other stream's window grows by the setting.
    let mut settings = Vec::new();
    write(kind::SETTINGS, 0, 0, b"\0\x04\0\x10\0\0", &mut settings);
    receive(&mut connection, &settings);
    let output = answer(&mut connection);
    assert_eq!(data(&output, 3), Shape::MESSAGES * 69 - 1_000);
    assert!(connection.streams.is_empty());
}

#[test]
fn gives_received_bytes_back() {
    let mut connection = connection(Shape::Unary16k, &[]);
    let mut output = Vec::new();
    for stream in (1..=63).step_by(2) {
        let mut input = Vec::new();
        write(
            kind::HEADERS,
            flag::END_HEADERS,
            stream,
            b"\x83",
            &mut input,
        );
        write(kind::DATA, 0, stream, &[0; 16 << 10], &mut input);
        write(kind::DATA, flag::END_STREAM, stream, &[0; 12], &mut input);
        output.append(&mut receive(&mut connection, &input));
    }
    let updates = frames(&output);
    assert_eq!(updates.len(), 1, "half of the window was used once");
    assert_eq!(
        (updates[0].kind, updates[0].stream),
        (kind::WINDOW_UPDATE, 0)
    );
    let half = 31 * ((16 << 10) + 12) + (16 << 10);
    assert_eq!(number(updates[0].payload), half);
}

#[test]
fn pings_and_settings_are_acknowledged() {
    let mut connection = connection(Shape::Unary, &[]);
    let mut input = Vec::new();
    write(kind::PING, 0, 0, b"12345678", &mut input);
    write(kind::SETTINGS, 0, 0, &[], &mut input);
    write(kind::PING, flag::ACK, 0, b"12345678", &mut input);
    let output = receive(&mut connection, &input);
    let acks: Vec<_> = frames(&output)
        .iter()
        .map(|frame| (frame.kind, frame.flags, frame.payload))
        .collect();
    let expected = [
        (kind::PING, flag::ACK, &b"12345678"[..]),
        (kind::SETTINGS, flag::ACK, b""),
    ];
    assert_eq!(acks, expected);
}

#[test]
fn a_reset_stream_is_not_answered() {
    let mut connection = connection(Shape::Unary, &[]);
    let mut input = request(1);
    write(kind::RST_STREAM, 0, 1, &8_u32.to_be_bytes(), &mut input);
    receive(&mut connection, &input);
    assert!(answer(&mut connection).is_empty());
}

#[test]
fn too_many_streams_are_refused() {
    let mut connection = connection(Shape::Unary, &[]);
    let mut input = Vec::new();
    for stream in (1..).step_by(2).take(MAX_STREAMS as usize + 1) {
        write(
            kind::HEADERS,
            flag::END_HEADERS,
            stream,
            b"\x83",
            &mut input,
        );
    }
    let output = receive(&mut connection, &input);
    let refused = frames(&output);
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].kind, refused[0].stream),
        (kind::RST_STREAM, 2_001)
    );
}

#[test]
fn who_breaks_the_protocol_is_told_so() {
    let too_large = [0, 0x40, 1, 0, 0, 0, 0, 0, 1];
    let mut data = Vec::new();
    write(kind::DATA, 0, 1, b"x", &mut data);
    let mut ping = Vec::new();
    write(kind::PING, 0, 0, b"x", &mut ping);
    let mut table = Vec::new();
    write(kind::SETTINGS, 0, 0, &[0; 6], &mut table);
    table[HEAD + 1] = 1;
    for (input, code) in [
        (&too_large[..], FRAME_SIZE_ERROR),
        (&data, PROTOCOL_ERROR),
        (&ping, FRAME_SIZE_ERROR),
        (&table, COMPRESSION_ERROR),
    ] {
        let mut connection = connection(Shape::Unary, &[]);
        let mut output = Vec::new();
        connection.receive(input, &mut output).unwrap_err();
        let frames = frames(&output);
        assert_eq!(frames[0].kind, kind::GOAWAY);
        assert_eq!(number(&frames[0].payload[4..]), code);
    }
}
