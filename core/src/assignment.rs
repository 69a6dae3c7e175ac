//! The assignment algorithm, version 1: from a user id to the words that decide, and from a word to a decision.
//!
//! Owns the permitted user ids, the three hashes and the arithmetic on their words. Does not know what an experiment
//! is ([`crate::experiment`] puts the parts together), who was exposed, or what a grant does.
//!
//! * `ASSIGN-2`: a first assignment depends on mode, salt or secret, weights and user id only: all here is a pure
//!   function of these bytes; neither time nor chance enters. Enrolment has a hash of its own, so a ramp moves nobody.
//!
//! With `frame(x)` = a byte holding the length of `x`, then `x`, and `H` = SHA-256 or, keyed, HMAC-SHA-256:
//!
//! * assignment word = first 8 bytes, big-endian, of `H(0x01 || frame(salt) || user)`
//! * enrolment word = first 8 bytes, big-endian, of `H(0x02 || frame(salt) || user)`
//! * grant id = first 16 bytes of `H(0x03 || frame(lineage) || frame(effect) || user)`, as a version 8 UUID
//!
//! Read next: `tests/assignment/golden_vectors.rs`, `tests/assignment/statistics.rs`.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use crate::identity::GrantId;

/// Full coverage, and the scale of every enrolment value: one million parts per million.
pub const COVERAGE_FULL_PPM: u32 = 1_000_000;

/// A permitted user id: 1..=256 bytes of UTF-8 without the control characters U+0000..=U+001F and U+007F.
///
/// The bytes are used as they are: no trimming, case folding or Unicode normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId<'a>(&'a [u8]);

/// Why bytes are no user id. Such a visit has no variant, not even the baseline's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidUserId {
    /// There is no byte at all, so the caller did not know the user. Remedy: call the hook only for known users.
    #[error("the user id is empty: call the hook only for users who have an id")]
    Empty,
    /// More than 256 bytes. Remedy: send the account's id; if the ids themselves are so long, a digest of them.
    #[error("the user id is longer than 256 bytes: send the account's id, or a digest of it")]
    TooLong,
    /// The bytes are not UTF-8. Remedy: send binary ids as hexadecimal or base64 text.
    #[error("the user id is not UTF-8: send a binary id as hexadecimal or base64 text")]
    NotUtf8,
    /// One of U+0000..=U+001F or U+007F occurs, as a line break does that was not cut off. Remedy: strip it at its
    /// source, the same way for every caller.
    #[error("the user id contains a control character: strip line breaks and the like where the id is read")]
    Control,
}

impl<'a> UserId<'a> {
    /// The longest permitted id, in bytes.
    pub const LENGTH_MAX: usize = 256;

    /// Checks `bytes`.
    ///
    /// # Errors
    /// [`InvalidUserId`], which names the first broken rule in the order of its variants.
    pub fn new(bytes: &'a [u8]) -> Result<Self, InvalidUserId> {
        if bytes.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if bytes.len() > Self::LENGTH_MAX {
            return Err(InvalidUserId::TooLong);
        }
        // Nearly all ids are printable ASCII, and one look at each byte says so.
        if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            std::str::from_utf8(bytes).map_err(|_| InvalidUserId::NotUtf8)?;
            if bytes.iter().any(u8::is_ascii_control) {
                return Err(InvalidUserId::Control);
            }
        }
        Ok(Self(bytes))
    }

    /// The id's bytes, exactly as they were given.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The id as text.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).expect("it was checked when the id was made")
    }
}

/// Which hash decides. Fixed for a lineage's life, since another hash would mint other grant ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashMode {
    /// SHA-256. Whoever knows the salt can look for an id that wins.
    Sha256V1,
    /// HMAC-SHA-256 under a secret: an id can't be chosen to win.
    HmacSha256V1,
}

impl HashMode {
    /// The name in scenario files, records and vectors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256V1 => "sha256-v1",
            Self::HmacSha256V1 => "hmac-sha256-v1",
        }
    }

    /// The mode called `name`, spelled exactly so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256V1, Self::HmacSha256V1].into_iter().find(|mode| mode.name() == name)
    }
}

/// A salt, lineage or effect that fits into a frame: at most 255 bytes, whose length goes before them into the hash.
/// Without it, bytes could move from one field to its neighbour and give the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame<'a> {
    length: u8,
    text: &'a str,
}

/// A salt, lineage or effect has more than 255 bytes. Remedy: shorten it; its length counts bytes, not characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{length} bytes where at most 255 fit: shorten it")]
pub struct FrameTooLong {
    /// Its length in bytes.
    pub length: usize,
}

impl<'a> Frame<'a> {
    /// Checks the length of `text`, which may be empty.
    ///
    /// # Errors
    /// [`FrameTooLong`] beyond 255 bytes.
    pub fn new(text: &'a str) -> Result<Self, FrameTooLong> {
        let length = u8::try_from(text.len()).map_err(|_| FrameTooLong { length: text.len() })?;
        Ok(Self { length, text })
    }

    /// The framed text.
    pub const fn as_str(self) -> &'a str {
        self.text
    }
}

/// The secret of a keyed [`Hasher`] is empty, which would be a key that everyone knows. Remedy: give a random one,
/// best of 32 bytes, and keep it for the lineage's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the secret is empty: give a random one, best of 32 bytes, and keep it for the lineage's life")]
pub struct EmptySecret;

/// The three hashes, prepared for one experiment: everything that precedes the user id is absorbed in advance, and a
/// key's two blocks as well. One hash costs about as much as one SHA-256 (or one HMAC under a prepared key) of the same
/// bytes and allocates nothing.
#[derive(Clone)]
pub struct Hasher {
    mode: HashMode,
    assignment: Prefix,
    enrolment: Prefix,
    grant: Prefix,
}

/// First byte of the assignment hash's message.
const DOMAIN_ASSIGNMENT: u8 = 1;
/// First byte of the enrolment hash's message.
const DOMAIN_ENROLMENT: u8 = 2;
/// First byte of the grant id's message.
const DOMAIN_GRANT: u8 = 3;

impl Hasher {
    /// The unkeyed hasher. `lineage` is the whole framed field: namespace, `/` and lineage for an experiment's.
    pub fn sha256_v1(salt: Frame<'_>, lineage: Frame<'_>) -> Self {
        Self::prepare(HashMode::Sha256V1, None, salt, lineage)
    }

    /// The hasher keyed with `secret`. `lineage` is the whole framed field, as in [`Hasher::sha256_v1`].
    ///
    /// # Errors
    /// [`EmptySecret`] if `secret` has no byte.
    pub fn hmac_sha256_v1(secret: &[u8], salt: Frame<'_>, lineage: Frame<'_>) -> Result<Self, EmptySecret> {
        if secret.is_empty() {
            return Err(EmptySecret);
        }
        Ok(Self::prepare(HashMode::HmacSha256V1, Some(Key::new(secret)), salt, lineage))
    }

    fn prepare(mode: HashMode, key: Option<Key>, salt: Frame<'_>, lineage: Frame<'_>) -> Self {
        let prefix =
            |domain: u8, frame: Frame<'_>| Prefix::new(key, &[&[domain, frame.length], frame.text.as_bytes()].concat());
        Self {
            mode,
            assignment: prefix(DOMAIN_ASSIGNMENT, salt),
            enrolment: prefix(DOMAIN_ENROLMENT, salt),
            grant: prefix(DOMAIN_GRANT, lineage),
        }
    }

    /// The hash in use.
    pub const fn mode(&self) -> HashMode {
        self.mode
    }

    /// The word that chooses the user's variant, see [`Weights::pick`].
    pub fn assignment_word(&self, user: UserId<'_>) -> u64 {
        word(self.assignment.digest(&[user.as_bytes()]))
    }

    /// The word that decides whether the user takes part, see [`enrol_ppm`].
    pub fn enrolment_word(&self, user: UserId<'_>) -> u64 {
        word(self.enrolment.digest(&[user.as_bytes()]))
    }

    /// The id of the grant of `effect` to `user` under the hasher's lineage. It depends neither on the salt nor on the
    /// user's variant.
    pub fn grant_id(&self, effect: Frame<'_>, user: UserId<'_>) -> GrantId {
        let digest = self.grant.digest(&[&[effect.length], effect.text.as_bytes(), user.as_bytes()]);
        GrantId::from_digest(*digest.first_chunk().expect("a digest has 32 bytes"))
    }
}

/// Names the mode only: the states are derived from the secret.
impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;
/// The digest of SHA-256, in bytes.
const DIGEST: usize = 32;
/// The least padding: the byte that starts it and the eight of the message's length.
const PADDING_MIN: usize = 1 + 8;
/// Enough blocks for every message after its prefix's whole ones: rest of the prefix, framed effect, user id, padding.
const REST_BLOCKS: usize = (BLOCK - 1 + 1 + 255 + UserId::LENGTH_MAX + PADDING_MIN).div_ceil(BLOCK);

/// The state of SHA-256 between two blocks.
type State = [u32; 8];
/// The state before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key of HMAC-SHA-256 (RFC 2104): the states after the block that precedes the message and after the one that
/// precedes the message's digest.
#[derive(Clone, Copy)]
struct Key {
    inner: State,
    outer: State,
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        if secret.len() <= BLOCK {
            key[..secret.len()].copy_from_slice(secret);
        } else {
            key[..DIGEST].copy_from_slice(&Sha256::digest(secret));
        }
        let absorb = |pad: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[key.map(|byte| byte ^ pad)]);
            state
        };
        Self { inner: absorb(0x36), outer: absorb(0x5c) }
    }

    /// The outer hash of the message's digest.
    fn finish(&self, digest: &[u8; DIGEST]) -> State {
        let mut block = [0; BLOCK];
        block[..DIGEST].copy_from_slice(digest);
        pad(&mut block, DIGEST, BLOCK + DIGEST);
        let mut state = self.outer;
        compress256(&mut state, &[block]);
        state
    }
}

/// What precedes the user id in a message, absorbed as far as its blocks are whole.
///
/// A message's rest is laid out once, with its padding, and compressed in one call. For ids of usual length a copied
/// [`sha2::Sha256`] or an HMAC around it, which buffer partial blocks, takes up to half as long again.
#[derive(Clone)]
struct Prefix {
    /// The key of HMAC; without one, the hash is SHA-256.
    key: Option<Key>,
    /// The state after the whole blocks of the inner key and the prefix.
    state: State,
    /// The length of what is hashed so far, in bytes: the inner key's block and the prefix.
    length: usize,
    /// The rest of the prefix, less than one block, then zeros.
    tail: [u8; BLOCK],
}

impl Prefix {
    fn new(key: Option<Key>, prefix: &[u8]) -> Self {
        let (blocks, rest) = prefix.as_chunks();
        let mut state = key.map_or(INITIAL, |key| key.inner);
        compress256(&mut state, blocks);
        let mut tail = [0; BLOCK];
        tail[..rest.len()].copy_from_slice(rest);
        Self { key, state, length: key.map_or(0, |_| BLOCK) + prefix.len(), tail }
    }

    /// The digest of the prefix followed by `parts`.
    #[inline]
    fn digest(&self, parts: &[&[u8]]) -> [u8; DIGEST] {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // Small arrays are cleared faster, and most messages are short.
        let state = if self.length % BLOCK + length + PADDING_MIN <= 2 * BLOCK {
            self.finish::<2>(parts)
        } else {
            self.finish::<REST_BLOCKS>(parts)
        };
        match &self.key {
            Some(key) => to_bytes(key.finish(&to_bytes(state))),
            None => to_bytes(state),
        }
    }

    /// The state after the prefix and `parts`, where the rest of the message, padded, fits into `BLOCKS` blocks.
    #[inline]
    fn finish<const BLOCKS: usize>(&self, parts: &[&[u8]]) -> State {
        let mut blocks = [[0; BLOCK]; BLOCKS];
        blocks[0] = self.tail;
        let rest = blocks.as_flattened_mut();
        let whole = self.length - self.length % BLOCK;
        let mut end = self.length % BLOCK;
        for part in parts {
            rest[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let used = (end + PADDING_MIN).div_ceil(BLOCK);
        pad(&mut rest[..used * BLOCK], end, whole + end);
        let mut state = self.state;
        compress256(&mut state, &blocks[..used]);
        state
    }
}

/// Pads a message of `length` bytes (FIPS 180-4, section 5.1.1), whose last ones are the first `end` bytes of `blocks`:
/// one bit, zeros, which are there already, and the message's length in bits, which ends the last block.
#[inline]
fn pad(blocks: &mut [u8], end: usize, length: usize) {
    blocks[end] = 0x80;
    let bits = blocks.last_chunk_mut().expect("a block has more than 8 bytes");
    *bits = (8 * length as u64).to_be_bytes();
}

/// The digest that a last state stands for.
#[inline]
fn to_bytes(state: State) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// The first 8 bytes of `digest` as a big-endian number.
fn word(digest: [u8; DIGEST]) -> u64 {
    u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Maps a word evenly onto `0..total`: floor(word × total / 2^64), exactly. Any value's share differs from 1/total by
/// less than 2^-64.
fn scale(word: u64, total: u32) -> u32 {
    let scaled = (u128::from(word) * u128::from(total)) >> 64;
    #[expect(clippy::cast_possible_truncation, reason = "a word is below 2^64, so the quotient is below `total`")]
    let scaled = scaled as u32;
    scaled
}

/// The user's enrolment value, `0..1_000_000`, from their enrolment word: they are enrolled if and only if it is less
/// than the coverage in parts per million. A higher coverage therefore only adds users.
pub fn enrol_ppm(enrolment_word: u64) -> u32 {
    scale(enrolment_word, COVERAGE_FULL_PPM)
}

/// The weights of an experiment's variants in declared order, prepared for choosing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Sums of the weights up to and including each variant's.
    cumulative: Box<[u32]>,
    total: u32,
}

/// Why weights choose nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidWeights {
    /// All are zero, or there is none. Remedy: give at least one variant a positive weight.
    #[error("the weights add up to 0: give at least one variant a positive weight")]
    Zero,
    /// The sum exceeds 2^32 - 1. Remedy: divide all weights by a common factor; only their ratios count.
    #[error("the weights add up to more than 4294967295: divide all by a common factor, only their ratios count")]
    TooLarge {
        /// Index of the first variant at which the running sum is too large.
        variant: usize,
    },
}

impl Weights {
    /// Takes the weights in declared order; some may be zero.
    ///
    /// # Errors
    /// [`InvalidWeights`] unless they add up to 1..=2^32-1.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Result<Self, InvalidWeights> {
        let mut total = 0_u32;
        let mut cumulative = Vec::new();
        for (variant, weight) in weights.into_iter().enumerate() {
            total = total.checked_add(weight).ok_or(InvalidWeights::TooLarge { variant })?;
            cumulative.push(total);
        }
        if total == 0 {
            return Err(InvalidWeights::Zero);
        }
        Ok(Self { cumulative: cumulative.into(), total })
    }

    /// The sum of all weights.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// The point in `0..total` that belongs to `assignment_word`.
    pub fn point(&self, assignment_word: u64) -> u32 {
        scale(assignment_word, self.total)
    }

    /// The index of the variant that `assignment_word` chooses: the first whose cumulative weight exceeds the point.
    /// One of weight zero is never chosen.
    pub fn pick(&self, assignment_word: u64) -> usize {
        let point = self.point(assignment_word);
        self.cumulative.partition_point(|&up_to| up_to <= point)
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    fn frame(text: &str) -> Frame<'_> {
        Frame::new(text).unwrap()
    }

    fn user(id: &str) -> UserId<'_> {
        UserId::new(id.as_bytes()).unwrap()
    }

    #[test]
    fn ids_of_1_to_256_bytes_are_permitted_as_they_are() {
        let longest = "é".repeat(128);
        for id in ["a", " a ", "\u{80}", "\u{9f}", "\u{feff}x", "A", longest.as_str()] {
            let user = UserId::new(id.as_bytes()).unwrap();
            assert_eq!((user.as_bytes(), user.as_str()), (id.as_bytes(), id));
        }
    }

    #[test]
    fn other_ids_are_refused_with_their_cause() {
        for (id, cause) in [
            (vec![], InvalidUserId::Empty),
            (vec![b'a'; 257], InvalidUserId::TooLong),
            (vec![b'a', 0xff], InvalidUserId::NotUtf8),
            (vec![0xed, 0xa0, 0x80], InvalidUserId::NotUtf8),
            (vec![b'a', b'\n'], InvalidUserId::Control),
            (vec![0x00], InvalidUserId::Control),
            (vec![0x1f], InvalidUserId::Control),
            (vec![0x7f], InvalidUserId::Control),
        ] {
            assert_eq!(UserId::new(&id), Err(cause), "{id:?}");
        }
    }

    #[test]
    fn modes_are_known_by_their_exact_names() {
        for mode in [HashMode::Sha256V1, HashMode::HmacSha256V1] {
            assert_eq!(HashMode::from_name(mode.name()), Some(mode));
        }
        for name in ["", "sha256", "SHA256-V1", "sha256-v1 "] {
            assert_eq!(HashMode::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_frame_holds_up_to_255_bytes() {
        assert!(Frame::new(&"a".repeat(255)).is_ok());
        assert_eq!(Frame::new(&"é".repeat(128)), Err(FrameTooLong { length: 256 }));
    }

    /// Every length up to a few blocks, then the longest frame.
    fn lengths() -> impl Iterator<Item = usize> {
        (0..=130).chain([255])
    }

    #[test]
    fn words_are_those_of_the_whole_message_at_every_length() {
        let key = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        for salt in lengths().map(|length| "s".repeat(length)) {
            let plain = Hasher::sha256_v1(frame(&salt), frame(""));
            let keyed = Hasher::hmac_sha256_v1(b"secret", frame(&salt), frame("")).unwrap();
            for id in lengths().map(|length| "i".repeat(length + 1)) {
                let message = [&[2, u8::try_from(salt.len()).unwrap()], salt.as_bytes(), id.as_bytes()].concat();
                let mac = key.clone().chain_update(&message).finalize().into_bytes();
                assert_eq!(plain.enrolment_word(user(&id)), word(Sha256::digest(&message).into()));
                assert_eq!(keyed.enrolment_word(user(&id)), word(mac.into()));
            }
        }
    }

    #[test]
    fn a_secret_of_every_length_is_the_key_of_hmac() {
        for secret in lengths().skip(1).map(|length| vec![0xa5; length]) {
            let hasher = Hasher::hmac_sha256_v1(&secret, frame("s"), frame("l")).unwrap();
            let key = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            let mac = key.chain_update(b"\x01\x01sid").finalize().into_bytes();
            assert_eq!(hasher.assignment_word(user("id")), word(mac.into()), "{} bytes", secret.len());
        }
    }

    #[test]
    fn grant_ids_are_those_of_the_whole_message_at_every_length() {
        for lineage in [0, 60, 61, 62, 63, 255].map(|length| "l".repeat(length)) {
            let hasher = Hasher::sha256_v1(frame(""), frame(&lineage));
            for effect in lengths().map(|length| "e".repeat(length)) {
                for id in [1, 36, 256].map(|length| "i".repeat(length)) {
                    let framed = [&lineage, &effect]
                        .map(|text| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
                    let message = [&[3], framed.concat().as_slice(), id.as_bytes()].concat();
                    let half = *Sha256::digest(&message).first_chunk().unwrap();
                    assert_eq!(hasher.grant_id(frame(&effect), user(&id)), GrantId::from_digest(half));
                }
            }
        }
    }

    #[test]
    fn an_empty_secret_is_refused_and_a_secret_is_not_printed() {
        assert_eq!(Hasher::hmac_sha256_v1(b"", frame("s"), frame("l")).unwrap_err(), EmptySecret);
        let hasher = Hasher::hmac_sha256_v1(b"hush", frame("s"), frame("l")).unwrap();
        assert_eq!(format!("{hasher:?}"), "Hasher { mode: HmacSha256V1, .. }");
    }

    #[test]
    fn a_words_place_in_the_range_decides() {
        let halves = Weights::new([1, 1]).unwrap();
        assert_eq!([0, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX].map(|word| halves.pick(word)), [0, 0, 1, 1]);
        assert_eq!([0, u64::MAX].map(enrol_ppm), [0, 999_999]);
    }

    #[test]
    fn a_variant_of_weight_zero_is_never_chosen() {
        let weights = Weights::new([0, 3, 0, 0, 1, 0]).unwrap();
        assert_eq!([0, u64::MAX / 2, u64::MAX].map(|word| weights.pick(word)), [1, 1, 4]);
    }

    #[test]
    fn weights_add_up_to_at_least_1_and_less_than_2_to_the_32() {
        assert_eq!(Weights::new([u32::MAX, 0]).unwrap().total(), u32::MAX);
        assert_eq!(Weights::new([0, u32::MAX]).unwrap().pick(u64::MAX), 1);
        assert_eq!(Weights::new([u32::MAX, 0, 1]), Err(InvalidWeights::TooLarge { variant: 2 }));
        assert_eq!(Weights::new([0, 0]), Err(InvalidWeights::Zero));
        assert_eq!(Weights::new([]), Err(InvalidWeights::Zero));
    }
}
