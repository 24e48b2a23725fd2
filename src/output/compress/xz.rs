//! Joins separately compressed blocks into one xz stream.
//!
//! Each block is packed as a stream of one block. Header and footer of a stream hold only the type of the
//! check (section 2.1 of the .xz file format, version 1.2.1), so the blocks of all streams can follow one
//! header, with one index at the end. Programs that read only one stream per file can read the result, and
//! threaded decoders find the blocks.

use std::io::{self, Write};

use xz2::stream::{Check, MtStreamBuilder};
use xz2::write::XzEncoder;

use super::BLOCK;

/// Stream header and stream footer have twelve bytes each (2.1.1 and 2.1.2).
const EDGE: usize = 12;

/// Packs `raw` as a stream of one block. Only the threaded encoder writes the sizes into the block's header,
/// which threaded decoders need.
pub(super) fn pack(raw: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut builder = MtStreamBuilder::new();
    let stream = builder.threads(1).block_size(BLOCK as u64).preset(level).check(Check::Crc64).encoder()?;
    let mut encoder = XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(raw)?;
    encoder.finish()
}

#[derive(Default)]
pub(super) struct JoinedStream {
    /// Unpadded and uncompressed size of every block (4.3).
    records: Vec<(u64, u64)>,
    /// The header of the first stream; all streams have the same.
    header: Option<[u8; EDGE]>,
}

impl JoinedStream {
    /// Writes the block of a stream from [`pack`].
    pub(super) fn add(&mut self, stream: &[u8], to: &mut dyn Write) -> io::Result<()> {
        let parts = StreamParts::parse(stream)
            .ok_or_else(|| io::Error::other("the packed block isn't an xz stream of one block"))?;
        if self.header.is_none() {
            to.write_all(&parts.header)?;
            self.header = Some(parts.header);
        }
        self.records.push(parts.record);
        to.write_all(parts.block)
    }

    /// Writes index and footer.
    pub(super) fn finish(self, to: &mut dyn Write) -> io::Result<()> {
        let Some(header) = self.header else { return Err(io::Error::other("the image has no blocks")) };
        // Section 4: indicator, number of records, records, padding to four bytes, CRC32.
        let mut index = vec![0];
        put_number(&mut index, self.records.len() as u64);
        for (unpadded, uncompressed) in self.records {
            put_number(&mut index, unpadded);
            put_number(&mut index, uncompressed);
        }
        index.resize(index.len().next_multiple_of(4), 0);
        index.extend_from_slice(&crc32(&index));
        to.write_all(&index)?;
        // Section 2.1.2: CRC32 of the next two fields, backward size in words less one, the header's flags, magic.
        let words = u32::try_from(index.len() / 4 - 1).map_err(io::Error::other)?;
        let mut tail = words.to_le_bytes().to_vec();
        tail.extend_from_slice(&header[6..8]);
        to.write_all(&crc32(&tail))?;
        to.write_all(&tail)?;
        to.write_all(b"YZ")
    }
}

/// The parts of a stream of one block.
struct StreamParts<'a> {
    header: [u8; EDGE],
    block: &'a [u8],
    /// Unpadded and uncompressed size.
    record: (u64, u64),
}

impl<'a> StreamParts<'a> {
    fn parse(stream: &'a [u8]) -> Option<Self> {
        let header: [u8; EDGE] = stream.get(..EDGE)?.try_into().ok()?;
        let footer = stream.get(stream.len().checked_sub(EDGE)?..)?;
        let words = u32::from_le_bytes(footer.get(4..8)?.try_into().ok()?);
        let index_start = stream.len().checked_sub(EDGE + (words as usize + 1) * 4)?;
        let mut index = stream.get(index_start..)?;
        let indicator = number(&mut index)?;
        let records = number(&mut index)?;
        let record = (number(&mut index)?, number(&mut index)?);
        let block = stream.get(EDGE..index_start)?;
        (indicator == 0 && records == 1).then_some(Self { header, block, record })
    }
}

/// Writes a variable-length integer (section 1.2): seven bits a byte, the lowest first.
fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}
