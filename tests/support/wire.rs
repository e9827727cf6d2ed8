//! The frames in what was written, read as a client of each wire form reads them. Uses nothing of the product's encoding.

use serde_json::Value;
use tidewire::protocol::WireForm;

/// Every frame in the bytes; they end with a whole one.
pub fn frames_in(form: WireForm, bytes: &[u8]) -> Vec<Value> {
    match form {
        WireForm::WebSocket => text_frames(bytes),
        WireForm::EventStream => events(std::str::from_utf8(bytes).unwrap()),
        WireForm::Json => {
            serde_json::Deserializer::from_slice(bytes).into_iter().collect::<Result<_, _>>().unwrap()
        }
    }
}

fn text_frames(mut rest: &[u8]) -> Vec<Value> {
    let mut frames = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[0], 0x81, "a whole text frame");
        let (header, length) = match rest[1] {
            127 => (10, usize::try_from(u64::from_be_bytes(rest[2..10].try_into().unwrap())).unwrap()),
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            short => (2, usize::from(short)),
        };
        frames.push(serde_json::from_slice(&rest[header..header + length]).unwrap());
        rest = &rest[header + length..];
    }
    frames
}

/// Each event has the type of its frame, so that a page can listen to it, and nothing but that and the frame.
fn events(text: &str) -> Vec<Value> {
    let blocks = text.split_inclusive("\n\n");
    let event = |block: &str| {
        let lines = block.strip_suffix("\n\n").expect("an event ends with an empty line");
        // `welcome` has an id before its type, and a trailer is an id alone.
        let lines = match lines.strip_prefix("id: ") {
            Some(id) => id.split_once('\n')?.1,
            None => lines,
        };
        let (kind, data) = lines.split_once('\n').expect("an event has two lines");
        let kind = kind.strip_prefix("event: ").expect("an event begins with its type");
        let data = data.strip_prefix("data: ").expect("then comes its data");
        let frame: Value = serde_json::from_str(data).unwrap();
        assert_eq!(frame["type"], kind, "{frame}");
        Some(frame)
    };
    blocks.filter_map(event).collect()
}

/// The last id that a piece of a stream names.
pub fn last_id_in(form: WireForm, bytes: &[u8]) -> Option<String> {
    if form != WireForm::EventStream {
        return None;
    }
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines.filter_map(|line| line.strip_prefix("id: ")).next_back().map(str::to_owned)
}
