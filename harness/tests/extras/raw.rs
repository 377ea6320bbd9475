//! Kafka frames and record batches by hand: what the broker holds, as nothing of the project's own codec reads it, and records as
//! no client of ours would write them.
//!
//! ```text
//!   request   length i32 | key i16 | version i16 | correlation i32 | client string | body      (versions without tagged fields)
//!   batch     base i64 | length i32 | epoch i32 | magic i8 = 2 | crc u32 | attributes i16 | last delta i32 | first ms i64 |
//!             latest ms i64 | producer id i64, epoch i16, sequence i32 | records i32 | the records
//!   record    length | attributes i8 | ms delta | offset delta | key | value | headers: count, (name, value)...
//!             numbers are zig-zag varints; bytes have their length in front, -1 for null
//! ```

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use crc_fast::{CrcAlgorithm, checksum};

use crate::checks::report::{Fault, failed, need};
use crate::cursor::{Cursor, zigzag};

const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const API_VERSIONS: (i16, i16) = (18, 0);
/// The key of EndTxn: who announces it has transactions.
pub(crate) const END_TXN: i16 = 26;

const CORRELATION: i32 = 1;
const LATEST: i64 = -1;
const ANSWER_MAX: Duration = Duration::from_secs(10);
const LEADER_MAX: Duration = Duration::from_secs(15);
const FRAME_BYTES_MAX: i32 = 64 << 20;
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// Where a batch's records begin, and the fields in front of them.
const BATCH_HEADER_LEN: usize = 61;
const CRC_AT: usize = 17;
const CHECKED_AT: usize = 21;
const COUNT_AT: usize = 57;
/// What the length of a batch does not count: itself and the base offset.
const LENGTH_END: usize = 12;
const IS_CONTROL: i16 = 1 << 5;
const COMPRESSION: i16 = 7;

/// Name and value.
pub(crate) type Header = (Vec<u8>, Vec<u8>);

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    /// Of the broker's own: the end of a transaction.
    pub(crate) is_control: bool,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<Header>,
}

/// A connection that asks one thing at a time.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Self, Fault> {
        let about = |error: std::io::Error| failed("a raw connection to the broker")(&error);
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(about)?;
        stream.set_nodelay(true).map_err(about)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(about)?;
        stream.set_write_timeout(Some(ANSWER_MAX)).map_err(about)?;
        Ok(Self(stream))
    }

    /// The answer's body.
    fn ask(&mut self, (key, version): (i16, i16), body: &[u8]) -> Result<Vec<u8>, Fault> {
        let about = |error: std::io::Error| failed(&format!("API {key} v{version}, asked raw"))(&error);
        let head =
            [&key.to_be_bytes()[..], &version.to_be_bytes(), &CORRELATION.to_be_bytes(), &string("raw")].concat();
        let frame = [head.as_slice(), body].concat();
        self.0.write_all(&[&length(frame.len()), frame.as_slice()].concat()).map_err(about)?;
        let mut four = [0; 4];
        self.0.read_exact(&mut four).map_err(about)?;
        let bytes = i32::from_be_bytes(four);
        need((4..=FRAME_BYTES_MAX).contains(&bytes), || format!("API {key}: an answer of {bytes} bytes"))?;
        let mut answer = vec![0; bytes as usize];
        self.0.read_exact(&mut answer).map_err(about)?;
        need(answer.starts_with(&CORRELATION.to_be_bytes()), || format!("API {key}: another's answer"))?;
        Ok(answer.split_off(4))
    }

    /// Whether the broker announces an API.
    pub(crate) fn announces(&mut self, api: i16) -> Result<bool, Fault> {
        let answer = self.ask(API_VERSIONS, &[])?;
        let mut cursor = Cursor(&answer);
        let code = cursor.i16()?;
        need(code == 0, || format!("ApiVersions: error {code}"))?;
        let mut found = false;
        for _ in 0..cursor.i32()? {
            found |= cursor.i16()? == api;
            cursor.bytes(4)?;
        }
        Ok(found)
    }

    /// The error, and the end of a partition.
    fn end(&mut self, topic: &str, partition: i32) -> Result<(i16, i64), Fault> {
        let asked = [&partition.to_be_bytes()[..], &LATEST.to_be_bytes()].concat();
        let body = [&(-1i32).to_be_bytes()[..], &one_partition(topic, &asked)].concat();
        let answer = self.ask(LIST_OFFSETS, &body)?;
        let mut cursor = Cursor(&answer);
        cursor.one_partition()?;
        let code = cursor.i16()?;
        cursor.bytes(8)?;
        Ok((code, cursor.i64()?))
    }

    /// The end of a partition; waits until the broker knows that it leads it.
    pub(crate) fn end_of(&mut self, topic: &str, partition: i32) -> Result<i64, Fault> {
        let begin = Instant::now();
        loop {
            match self.end(topic, partition)? {
                (0, offset) => return Ok(offset),
                (code, _) if begin.elapsed() > LEADER_MAX => {
                    return Err(Fault::Failed(format!("ListOffsets of {topic}-{partition}: error {code}")));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The clients' records of a partition in order, those of aborted transactions among them.
    pub(crate) fn records(&mut self, topic: &str, partition: i32) -> Result<Vec<Record>, Fault> {
        self.end_of(topic, partition)?;
        let (mut found, mut offset) = (Vec::new(), 0);
        loop {
            let (high, data) = self.fetch(topic, partition, offset)?;
            let mut got = records_of(&data)?;
            got.retain(|record| record.offset >= offset);
            let Some(last) = got.last() else {
                need(offset == high, || format!("{topic}-{partition}: nothing at {offset} of {high}"))?;
                return Ok(found);
            };
            offset = last.offset + 1;
            found.extend(got.into_iter().filter(|record| !record.is_control));
        }
    }

    /// High watermark and record bytes.
    fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(i64, Vec<u8>), Fault> {
        let asked = [&partition.to_be_bytes()[..], &offset.to_be_bytes(), &FETCH_BYTES_MAX.to_be_bytes()].concat();
        let (replica, wait_ms, bytes_min, all_records) = (-1i32, 200i32, 1i32, 0u8);
        let numbers = [replica, wait_ms, bytes_min, FETCH_BYTES_MAX].map(i32::to_be_bytes).concat();
        let answer = self.ask(FETCH, &[&numbers[..], &[all_records], &one_partition(topic, &asked)].concat())?;
        let mut cursor = Cursor(&answer);
        cursor.bytes(4)?; // throttle_time_ms
        cursor.one_partition()?;
        let (code, high) = (cursor.i16()?, cursor.i64()?);
        need(code == 0, || format!("Fetch: error {code}"))?;
        cursor.bytes(8)?; // last_stable_offset
        let aborted = cursor.i32()?.max(0) as usize;
        cursor.bytes(16 * aborted)?;
        let size = cursor.i32()?.max(0) as usize;
        Ok((high, cursor.bytes(size)?.to_vec()))
    }

    /// Appends values with their headers as one batch, to partition 0.
    pub(crate) fn produce(&mut self, topic: &str, records: &[(Vec<u8>, Vec<Header>)]) -> Result<(), Fault> {
        self.end_of(topic, 0)?;
        let batch = batch(records)?;
        let asked = [&0i32.to_be_bytes()[..], &length(batch.len()), &batch].concat();
        let (no_transaction, acks, timeout_ms) = ((-1i16).to_be_bytes(), (-1i16).to_be_bytes(), 5000i32.to_be_bytes());
        let body = [&no_transaction[..], &acks, &timeout_ms, &one_partition(topic, &asked)].concat();
        let answer = self.ask(PRODUCE, &body)?;
        let mut cursor = Cursor(&answer);
        cursor.one_partition()?;
        let code = cursor.i16()?;
        need(code == 0, || format!("Produce: error {code}"))
    }
}

/// An array of one topic with one partition.
fn one_partition(topic: &str, partition: &[u8]) -> Vec<u8> {
    [&length(1)[..], &string(topic), &length(1), partition].concat()
}

fn length(of: usize) -> [u8; 4] {
    (of as i32).to_be_bytes()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A batch without compression and without a producer id.
fn batch(records: &[(Vec<u8>, Vec<Header>)]) -> Result<Vec<u8>, Fault> {
    let since = SystemTime::UNIX_EPOCH.elapsed().map_err(|error| failed("the time")(&error))?;
    let now_ms = (since.as_millis() as i64).to_be_bytes();
    let count = length(records.len());
    let attributes = 0i16.to_be_bytes();
    let last_delta = length(records.len() - 1);
    let no_producer = [0xff; 8 + 2 + 4];
    let head = [&attributes[..], &last_delta, &now_ms, &now_ms, &no_producer, &count].concat();
    let body: Vec<u8> =
        records.iter().enumerate().flat_map(|(at, (value, headers))| record(at, value, headers)).collect();
    let checked = [head, body].concat();
    let crc = (checksum(CrcAlgorithm::Crc32Iscsi, &checked) as u32).to_be_bytes();
    let (no_epoch, magic) = ((-1i32).to_be_bytes(), [2u8]);
    let rest = [&no_epoch[..], &magic, &crc, &checked].concat();
    Ok([&0i64.to_be_bytes()[..], &length(rest.len()), &rest].concat())
}

fn record(at: usize, value: &[u8], headers: &[Header]) -> Vec<u8> {
    let (no_attributes, now, no_key) = (vec![0], zigzag(0), zigzag(-1));
    let mut body = [no_attributes, now, zigzag(at as i64), no_key, sized(value), zigzag(headers.len() as i64)].concat();
    headers.iter().for_each(|(name, value)| body.extend([sized(name), sized(value)].concat()));
    sized(&body)
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&zigzag(bytes.len() as i64), bytes].concat()
}

/// Every record of the batches; a piece of one at the end is left out.
fn records_of(data: &[u8]) -> Result<Vec<Record>, Fault> {
    let (mut out, mut rest) = (Vec::new(), data);
    while rest.len() >= BATCH_HEADER_LEN {
        let mut head = Cursor(rest);
        let base = head.i64()?;
        let end = LENGTH_END + head.i32()?.max(0) as usize;
        need(end >= BATCH_HEADER_LEN, || format!("a batch of {end} bytes"))?;
        let Some((batch, after)) = rest.split_at_checked(end) else { break };
        let crc = Cursor(&batch[CRC_AT..]).i32()? as u32;
        let checked = checksum(CrcAlgorithm::Crc32Iscsi, &batch[CHECKED_AT..]) as u32;
        need(crc == checked, || format!("the batch at {base} has the checksum {crc:#x}, its bytes {checked:#x}"))?;
        let attributes = Cursor(&batch[CHECKED_AT..]).i16()?;
        need(attributes & COMPRESSION == 0, || format!("the batch at {base} is compressed"))?;
        let count = Cursor(&batch[COUNT_AT..]).i32()?;
        let mut records = Cursor(&batch[BATCH_HEADER_LEN..]);
        for _ in 0..count {
            out.push(one_record(&mut records, base, attributes & IS_CONTROL != 0)?);
        }
        rest = after;
    }
    Ok(out)
}

fn one_record(batch: &mut Cursor<'_>, base: i64, is_control: bool) -> Result<Record, Fault> {
    let mut cursor = Cursor(batch.sized()?);
    cursor.bytes(1)?; // attributes
    cursor.varint()?; // ms delta
    let offset = base + cursor.varint()?;
    cursor.sized()?; // key
    let value = cursor.sized()?.to_vec();
    let mut headers = Vec::new();
    for _ in 0..cursor.varint()? {
        headers.push((cursor.sized()?.to_vec(), cursor.sized()?.to_vec()));
    }
    Ok(Record { offset, is_control, value, headers })
}

#[cfg(test)]
mod tests {
    use ringlog_wire::batch::{BatchBuilder, Batches};
    use ringlog_wire::compression::Scratch;

    use super::*;

    fn planted() -> Vec<(Vec<u8>, Vec<Header>)> {
        let header = (b"name".to_vec(), vec![0, 255, 10]);
        vec![(b"one".to_vec(), vec![]), (vec![7; 300], vec![header.clone(), header])]
    }

    #[test]
    fn a_batch_by_hand_is_one_that_the_project_s_codec_reads() {
        let bytes = batch(&planted()).unwrap();
        let read: Vec<_> = Batches::new(&bytes).map(|it| it.unwrap().header.record_count).collect();
        assert_eq!(read, [2]);
        let again = records_of(&bytes).unwrap();
        let both: Vec<_> = again.into_iter().map(|it| (it.value, it.headers)).collect();
        assert_eq!(both, planted());
    }

    #[test]
    fn what_another_codec_wrote_is_read_up_to_a_piece_at_the_end_and_not_with_a_bit_changed() {
        let mut builder = BatchBuilder::new();
        (0..3).for_each(|_| builder.append(1, Some(b"key"), Some(b"value"), &[]));
        let mut bytes = builder.finish(&mut Scratch::new()).unwrap().to_vec();
        let whole = bytes.len();
        bytes.extend_from_within(..whole - 1);
        let read = records_of(&bytes).unwrap();
        assert_eq!(read.iter().map(|it| it.offset).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(read.iter().all(|it| it.value == b"value" && !it.is_control));
        bytes[whole - 2] ^= 1;
        assert!(records_of(&bytes).unwrap_err().to_string().contains("checksum"));
    }
}
