//! From a place in a guest's code to the line of its author's source, where the module carries DWARF.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use addr2line::Context;
use addr2line::gimli::{self, Dwarf, EndianSlice, LittleEndian, SectionId};
use wasmparser::{Parser, Payload};

/// Of a path, from its end.
const PATH_CHARS_SHOWN: usize = 120;

/// The binary that was compiled, as its author's tools made it: places of code are offsets in it.
#[derive(Clone)]
pub struct Lines {
    binary: Arc<[u8]>,
}

/// A function, and the line of it. Of an inlined one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the linker knows it.
    pub function: Option<String>,
    /// `src/lib.rs:12`
    pub line: String,
}

/// What a core module says of itself.
#[derive(Default)]
struct Sections<'a> {
    code: Range<usize>,
    debug: Vec<(&'a str, &'a [u8])>,
}

impl Lines {
    pub fn of(binary: &[u8]) -> Lines {
        Lines { binary: binary.into() }
    }

    /// Innermost first; nothing where the module does not say. It is read anew each time: faults are rare.
    pub fn at(&self, offset: usize) -> Vec<Place> {
        module_at(&self.binary, offset).and_then(|module| module.places(offset)).unwrap_or_default()
    }
}

/// The core module, of the binary or of a component, whose code is there.
fn module_at(binary: &[u8], offset: usize) -> Option<Sections<'_>> {
    let mut open = vec![Sections::default()];
    for payload in Parser::new(0).parse_all(binary) {
        let here = open.last_mut()?;
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                open.push(Sections::default())
            }
            Payload::CodeSectionStart { range, .. } => here.code = range,
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                here.debug.push((section.name(), section.data()));
            }
            Payload::End(_) => {
                let whole = open.pop()?;
                if whole.code.contains(&offset) {
                    return Some(whole);
                }
            }
            _ => {}
        }
    }
    None
}

impl Sections<'_> {
    fn places(&self, offset: usize) -> Option<Vec<Place>> {
        let section = |id: SectionId| {
            let data =
                self.debug.iter().find(|(name, _)| *name == id.name()).map_or(&[][..], |(_, data)| data);
            Ok::<_, gimli::Error>(EndianSlice::new(data, LittleEndian))
        };
        let context = Context::from_dwarf(Dwarf::load(section).ok()?).ok()?;
        // DWARF counts from the first byte of the code section's content.
        let mut frames = context.find_frames((offset - self.code.start) as u64).skip_all_loads().ok()?;
        let mut places = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let Some(location) = frame.location else { continue };
            let (Some(file), Some(line)) = (location.file, location.line) else { continue };
            let function = frame.function.and_then(|name| name.raw_name().map(Cow::into_owned).ok());
            places.push(Place { function, line: format!("{}:{line}", shortened(file)) });
        }
        Some(places)
    }
}

fn shortened(path: &str) -> String {
    let path: Vec<char> = path.chars().filter(|c| !c.is_control()).collect();
    match path.len().checked_sub(PATH_CHARS_SHOWN) {
        Some(beyond) if beyond > 0 => std::iter::once('…').chain(path[beyond..].iter().copied()).collect(),
        _ => path.into_iter().collect(),
    }
}
