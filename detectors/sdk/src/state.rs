//! Saved bytes. A state is postcard's; what equals `Default` is saved empty.
//!
//! A sensor's blob is its own state and one of each of the detector's quantities, each preceded by
//! its length (LEB128). What the quantities were called, and the groups' states, are in the shared part.

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Of the layout described above; the detector's own version is not in the bytes but beside them.
const LAYOUT: u8 = 1;

/// Reads a state of any version, for `migrate`; empty bytes are the default.
pub fn decode<T: Default + DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => {
            Err(format!("saved state has {} bytes too many: was it saved under another version?", rest.len()))
        }
        Err(error) => {
            Err(format!("saved state cannot be read ({error}): was it saved under another version?"))
        }
    }
}

/// As `decode` reads it: empty where it equals the default.
pub fn encode<T: Default + Serialize>(state: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    Part::<T>::new()?.encode(state, &mut bytes)?;
    // The length goes: there is one part only.
    let (_, len_bytes) = read_len(&bytes)?;
    Ok(bytes.split_off(len_bytes))
}

/// Of a state before it was seen how long it is.
const SCRATCH_BYTES: usize = 256;

/// Writes states of one type.
pub(crate) struct Part<T> {
    default: Vec<u8>,
    /// As long as the longest so far: into room that is there, postcard writes twice as fast as into a growing list,
    /// and what this takes is what a checkpoint holds a lane up for.
    scratch: Vec<u8>,
    state: std::marker::PhantomData<fn(T)>,
}

impl<T: Default + Serialize> Part<T> {
    pub fn new() -> Result<Self, String> {
        let default = postcard::to_extend(&T::default(), Vec::new()).map_err(cannot_save)?;
        Ok(Part { default, scratch: vec![0; SCRATCH_BYTES], state: std::marker::PhantomData })
    }

    /// Adds length and bytes to `out`.
    pub fn encode(&mut self, state: &T, out: &mut Vec<u8>) -> Result<(), String> {
        let len = loop {
            match postcard::serialize_with_flavor(state, Room { bytes: &mut self.scratch, len: 0 }) {
                Ok(len) => break len,
                Err(postcard::Error::SerializeBufferFull) => self.scratch.resize(2 * self.scratch.len(), 0),
                Err(error) => return Err(cannot_save(error)),
            }
        };
        let bytes = &self.scratch[..len];
        if bytes == self.default {
            out.push(0);
        } else {
            write_len(len, out);
            out.extend_from_slice(bytes);
        }
        Ok(())
    }
}

/// Where postcard writes to. It adds a few bytes at a time, of a number that is seen only then; to have them copied by
/// the general way is a call into the host in WebAssembly, and costs more than all the rest.
struct Room<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Flavor for Room<'_> {
    /// How many were written.
    type Output = usize;

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        *self.bytes.get_mut(self.len).ok_or(postcard::Error::SerializeBufferFull)? = byte;
        self.len += 1;
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, more: &[u8]) -> postcard::Result<()> {
        let end = self.len + more.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(postcard::Error::SerializeBufferFull)?;
        copy(more, room);
        self.len = end;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.len)
    }
}

/// Of few bytes the first and the last ones, which overlap: each a move of a number that is known.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    if copy_ends::<8>(from, to) || copy_ends::<4>(from, to) || copy_ends::<2>(from, to) {
        return;
    }
    if let ([byte], [place]) = (from, &mut *to) {
        *place = *byte;
    } else {
        to.copy_from_slice(from);
    }
}

/// If there are no more than twice as many, and no fewer.
#[inline(always)]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    if !(N..=2 * N).contains(&from.len()) {
        return false;
    }
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(place) = to.first_chunk_mut::<N>() {
        *place = *first;
    }
    if let Some(place) = to.last_chunk_mut::<N>() {
        *place = *last;
    }
    true
}

fn cannot_save(error: postcard::Error) -> String {
    format!("state cannot be saved: {error}")
}

fn write_len(mut len: usize, out: &mut Vec<u8>) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

/// The length, and how many bytes it took.
fn read_len(bytes: &[u8]) -> Result<(usize, usize), String> {
    let mut len = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((len, index + 1));
        }
    }
    Err("saved state ends within a length".into())
}

/// Takes a blob apart; `parts` receives the sensor's state first, then one a quantity.
pub(crate) fn split<'a>(mut blob: &'a [u8], parts: &mut Vec<&'a [u8]>) -> Result<(), String> {
    parts.clear();
    while !blob.is_empty() {
        let (len, len_bytes) = read_len(blob)?;
        let rest = &blob[len_bytes..];
        let part = rest
            .get(..len)
            .ok_or_else(|| format!("saved state is cut short: {len} bytes wanted, {} there", rest.len()))?;
        parts.push(part);
        blob = &rest[len..];
    }
    Ok(())
}

/// What belongs to no one sensor.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// Names of the quantities that cells were saved of: all that the detector wanted, there or not.
    pub quantities: Vec<String>,
    /// By name, ascending; empty bytes are the default.
    pub groups: Vec<(String, Vec<u8>)>,
}

impl Shared {
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        postcard::to_extend(self, vec![LAYOUT]).map_err(cannot_save)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        match bytes {
            [LAYOUT, rest @ ..] => postcard::from_bytes(rest)
                .map_err(|error| format!("saved shared state cannot be read: {error}")),
            [layout, ..] => Err(format!("saved state has layout {layout}; this SDK reads layout {LAYOUT}")),
            [] => Err("saved state lacks its shared part".into()),
        }
    }
}
