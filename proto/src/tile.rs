//! Tiles (C2SP tlog-tiles): the paths under which the hashes and the entries of a tree are served, 256 at a time.
//!
//! ```
//! use allowlog_proto::tile::Tile;
//!
//! let tile = Tile::Hashes { level: 0, index: 1234067, width: 256 };
//! assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
//! assert_eq!(Tile::parse("entries/003.p/17"), Some(Tile::Entries { index: 3, width: 17 }));
//! assert_eq!(Tile::parse("entries/3.p/17"), None);
//! ```

use std::fmt;

use crate::checkpoint::parse_decimal;

/// Hashes or entries of a full tile.
pub const TILE_WIDTH: u16 = 256;

/// The highest level: 256^8 leaves are all that 64 bits can count.
pub const TILE_LEVEL_MAX: u8 = 7;

/// One tile; what is not full yet has fewer than [`TILE_WIDTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tile {
    /// Hashes of a level: of leaves at level 0, above it roots of the full tiles of the level below.
    Hashes {
        /// 0 to [`TILE_LEVEL_MAX`].
        level: u8,
        /// Place among the tiles of its level.
        index: u64,
        /// How many, 1 to [`TILE_WIDTH`].
        width: u16,
    },
    /// The entries of the leaves of a tile of level 0.
    Entries {
        /// Place among them.
        index: u64,
        /// How many, 1 to [`TILE_WIDTH`].
        width: u16,
    },
}

impl Tile {
    /// Reads what stands behind `tile/` in a path; nothing if no tile is written so.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, place) = path.split_once('/')?;
        let (index, width) = match place.split_once(".p/") {
            Some((index, width)) => (index, u16::try_from(parse_decimal(width)?).ok().filter(|w| (1..TILE_WIDTH).contains(w))?),
            None => (place, TILE_WIDTH),
        };
        let index = parse_index(index)?;
        if level == "entries" {
            return Some(Self::Entries { index, width });
        }
        let level = u8::try_from(parse_decimal(level)?).ok().filter(|level| *level <= TILE_LEVEL_MAX)?;
        Some(Self::Hashes { level, index, width })
    }
}

/// Groups of three digits, `x` before all but the last; the first is not of zeros if it is not the only one.
fn parse_index(text: &str) -> Option<u64> {
    let (first, last) = text.rsplit_once('/').map_or((None, text), |(first, last)| (Some(first), last));
    let mut index = 0_u64;
    for group in first.into_iter().flat_map(|groups| groups.split('/')).map(|group| group.strip_prefix('x')).chain([Some(last)]) {
        let group = group.filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        index = index.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
        if index == 0 && first.is_some() {
            return None;
        }
    }
    Some(index)
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            Self::Hashes { level, index, width } => {
                write!(f, "tile/{level}")?;
                (index, width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries")?;
                (index, width)
            }
        };
        let digits = format!("{index:021}");
        let mut begun = false;
        for (place, group) in digits.as_bytes().chunks(3).enumerate() {
            let last = place == 6; // of 21 digits
            begun |= group != b"000" || last;
            if begun {
                let x = if last { "" } else { "x" };
                write!(f, "/{x}{}", std::str::from_utf8(group).unwrap_or_default())?;
            }
        }
        if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}
