//! How a message is declared: once, as a list of fields with the versions that carry them.
//!
//! ```text
//!   messages! {
//!       versions 4..=18, flexible 12;            // every struct below shares them
//!       message FetchRequest, FetchResponse;     // those that stand alone
//!
//!       /// What it is.
//!       struct FetchRequest {
//!           /// What it holds.                      versions   null allowed   tagged   default
//!           rack_id: String                        [11..]                              = String::new(),
//!           topics: Option<Vec<FetchTopic>>        [0..]      null [1..],
//!           cluster_id: Option<String>             [12..]     null [12..]    tag 0     = None,
//!       }
//!   }
//! ```
//!
//! - Untagged fields stand on the wire in the order of the list. Tagged fields (only in flexible versions) follow by
//!   ascending number and are left out while they hold their default. The list has them last, ascending.
//! - A field that its version does not carry keeps its default when decoding and is skipped when encoding.
//! - Each struct keeps the tagged fields that it does not know in `unknown_tags`.

use crate::codec::{DecodeError, EncodeError, Reader, Records, Writer};
use crate::{ApiKey, Uuid};

/// For schemas without a flexible version.
pub(crate) const NEVER: i16 = i16::MAX;

/// A message that stands alone: a request's or response's body, or the body of a record.
pub trait Message: Sized + Default + Clone + std::fmt::Debug + PartialEq {
    /// The name in Kafka's schema.
    const NAME: &'static str;
    /// The lowest and highest version of the schema.
    const VERSIONS: (i16, i16);
    /// The first flexible version, `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads the body in `version`; bytes after it stay in `r`.
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;
    /// Appends the body in `version` to `w`.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// True from the version on that has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }
}

/// A message that asks.
pub trait Request: Message {
    /// The API that it belongs to.
    const KEY: ApiKey;
    /// The message that answers it, in the same version.
    type Response: Message;
}

/// The version that a value is read or written in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) version: i16,
    pub(crate) flexible: bool,
    /// It is the value of a tagged field itself, not something inside of it.
    pub(crate) tagged: bool,
}

impl At {
    /// `version` of message `M`, if the schema has it.
    pub(crate) fn of<M: Message>(version: i16) -> Option<At> {
        let (min, max) = M::VERSIONS;
        (min <= version && version <= max).then(|| At { version, flexible: M::is_flexible(version), tagged: false })
    }

    #[inline]
    pub(crate) fn within(self, range: (i16, i16)) -> bool {
        range.0 <= self.version && self.version <= range.1
    }
}

pub(crate) fn no_such_version_to_decode<M: Message>(version: i16) -> DecodeError {
    DecodeError::Version { message: M::NAME, version, min: M::VERSIONS.0, max: M::VERSIONS.1 }
}

pub(crate) fn no_such_version_to_encode<M: Message>(version: i16) -> EncodeError {
    EncodeError::Version { message: M::NAME, version, min: M::VERSIONS.0, max: M::VERSIONS.1 }
}

/// A type that fields have.
pub(crate) trait Wire: Sized {
    /// The fewest bytes that a value takes in any version. Bounds what an array's count may claim.
    const LEN_MIN: usize;
    fn get(r: &mut Reader<'_>, at: At) -> Result<Self, DecodeError>;
    fn put(&self, w: &mut Writer, at: At) -> Result<(), EncodeError>;
}

/// A type with a null form.
pub(crate) trait Nullable: Wire {
    fn get_nullable(r: &mut Reader<'_>, at: At) -> Result<Option<Self>, DecodeError>;
    fn put_nullable(value: Option<&Self>, w: &mut Writer, at: At) -> Result<(), EncodeError>;
}

/// `1` if a field with `carried` versions is in every one of `versions`, else `0`.
pub(crate) const fn always(carried: (i16, i16), versions: (i16, i16)) -> usize {
    (carried.0 <= versions.0 && carried.1 >= versions.1) as usize
}

/// No element is smaller than a byte.
pub(crate) const fn at_least_one(len: usize) -> usize {
    if len == 0 { 1 } else { len }
}

macro_rules! number {
    ($($ty:ident $len:literal),*) => { $(
        impl Wire for $ty {
            const LEN_MIN: usize = $len;
            #[inline]
            fn get(r: &mut Reader<'_>, _: At) -> Result<Self, DecodeError> { r.$ty() }
            #[inline]
            fn put(&self, w: &mut Writer, _: At) -> Result<(), EncodeError> {
                w.raw(&self.to_be_bytes());
                Ok(())
            }
        }
    )* };
}
number!(i8 1, i16 2, u16 2, i32 4, i64 8, f64 8);

impl Wire for bool {
    const LEN_MIN: usize = 1;
    fn get(r: &mut Reader<'_>, _: At) -> Result<Self, DecodeError> {
        Ok(r.i8()? != 0)
    }
    fn put(&self, w: &mut Writer, _: At) -> Result<(), EncodeError> {
        w.raw(&[u8::from(*self)]);
        Ok(())
    }
}

impl Wire for Uuid {
    const LEN_MIN: usize = 16;
    fn get(r: &mut Reader<'_>, _: At) -> Result<Self, DecodeError> {
        r.uuid()
    }
    fn put(&self, w: &mut Writer, _: At) -> Result<(), EncodeError> {
        w.raw(&self.0);
        Ok(())
    }
}

impl Wire for Records {
    const LEN_MIN: usize = 1;
    fn get(r: &mut Reader<'_>, at: At) -> Result<Self, DecodeError> {
        let Some(len) = r.length(at.flexible)? else { return Ok(Records::Null) };
        let start = r.position();
        r.take(len)?;
        Ok(Records::At(start..start + len))
    }
    fn put(&self, w: &mut Writer, at: At) -> Result<(), EncodeError> {
        if *self == Records::Null {
            return w.length(None, at.flexible, "records");
        }
        w.length(Some(self.len()), at.flexible, "records")?;
        w.cut(self.len());
        Ok(())
    }
}

/// The value, or the error for a null that the schema never allows.
fn not_null<T>(value: Option<T>, r: &Reader<'_>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Null { position: r.position() })
}

macro_rules! never_null {
    () => {
        const LEN_MIN: usize = 1;
        fn get(r: &mut Reader<'_>, at: At) -> Result<Self, DecodeError> {
            let value = Self::get_nullable(r, at)?;
            not_null(value, r)
        }
        fn put(&self, w: &mut Writer, at: At) -> Result<(), EncodeError> {
            Self::put_nullable(Some(self), w, at)
        }
    };
}

impl Wire for String {
    never_null!();
}

impl Nullable for String {
    fn get_nullable(r: &mut Reader<'_>, at: At) -> Result<Option<Self>, DecodeError> {
        r.string(at.flexible)
    }
    fn put_nullable(value: Option<&Self>, w: &mut Writer, at: At) -> Result<(), EncodeError> {
        w.string(value.map(String::as_str), at.flexible)
    }
}

/// `bytes`: no element of an array is a `u8`, so this does not meet the arrays below.
impl Wire for Vec<u8> {
    never_null!();
}

impl Nullable for Vec<u8> {
    fn get_nullable(r: &mut Reader<'_>, at: At) -> Result<Option<Self>, DecodeError> {
        let Some(bytes) = r.bytes(at.flexible)? else { return Ok(None) };
        r.charge(bytes.len())?;
        Ok(Some(bytes.to_vec()))
    }
    fn put_nullable(value: Option<&Self>, w: &mut Writer, at: At) -> Result<(), EncodeError> {
        w.length(value.map(Vec::len), at.flexible, "bytes")?;
        w.raw(value.map_or(&[], Vec::as_slice));
        Ok(())
    }
}

impl<T: Wire> Wire for Vec<T> {
    never_null!();
}

impl<T: Wire> Nullable for Vec<T> {
    fn get_nullable(r: &mut Reader<'_>, at: At) -> Result<Option<Self>, DecodeError> {
        let Some(count) = r.count(at.flexible, T::LEN_MIN, size_of::<T>())? else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::get(r, at)?);
        }
        Ok(Some(elements))
    }
    fn put_nullable(value: Option<&Self>, w: &mut Writer, at: At) -> Result<(), EncodeError> {
        w.length(value.map(Vec::len), at.flexible, "array")?;
        value.into_iter().flatten().try_for_each(|element| element.put(w, at))
    }
}

impl<T: Nullable> Wire for Option<T> {
    const LEN_MIN: usize = 1;
    fn get(r: &mut Reader<'_>, at: At) -> Result<Self, DecodeError> {
        T::get_nullable(r, at)
    }
    fn put(&self, w: &mut Writer, at: At) -> Result<(), EncodeError> {
        T::put_nullable(self.as_ref(), w, at)
    }
}

/// A nullable struct: a byte says whether it is there (`-1` is null; in a tagged field `0` is).
pub(crate) fn get_nullable_struct<T: Wire>(r: &mut Reader<'_>, at: At) -> Result<Option<T>, DecodeError> {
    let sign = r.i8()?;
    if sign < 0 || at.tagged && sign == 0 { Ok(None) } else { T::get(r, at).map(Some) }
}

/// See [`get_nullable_struct`].
pub(crate) fn put_nullable_struct<T: Wire>(value: Option<&T>, w: &mut Writer, at: At) -> Result<(), EncodeError> {
    w.raw(&[match value {
        Some(_) => 1,
        None if at.tagged => 0,
        None => 0xff,
    }]);
    value.map_or(Ok(()), |value| value.put(w, at))
}

/// `[4..]` and `[4..=7]` as pairs.
macro_rules! versions_of {
    ([$low:literal ..]) => {
        ($low, i16::MAX)
    };
    ([$low:literal ..= $high:literal]) => {
        ($low, $high)
    };
}

macro_rules! default_of {
    () => {
        Default::default()
    };
    ($value:expr) => {
        $value
    };
}

/// One field's share of its struct's code. The brackets hold: versions, versions that allow null, tag.
macro_rules! field {
    // Bytes that the field adds to every element.
    (@len_min $range:tt [] $ty:ty, $versions:expr) => {
        always(versions_of!($range), $versions) * <$ty as Wire>::LEN_MIN
    };
    (@len_min $range:tt [$tag:literal] $ty:ty, $versions:expr) => { 0 };

    (@get $m:ident $r:ident $at:ident $name:ident $range:tt [$($null:tt)*] []) => {
        if $at.within(versions_of!($range)) {
            $m.$name = Wire::get($r, $at)?;
            field!(@null_check_get $m $at $name [$($null)*]);
        }
    };
    (@get $m:ident $r:ident $at:ident $name:ident $range:tt $null:tt [$tag:literal]) => {};

    (@get_tagged $m:ident $r:ident $at:ident $number:ident $name:ident $range:tt $null:tt []) => {};
    (@get_tagged $m:ident $r:ident $at:ident $number:ident $name:ident $range:tt [$($null:tt)*] [$tag:literal]) => {
        if $number == $tag && $at.within(versions_of!($range)) {
            $m.$name = Wire::get($r, At { tagged: true, ..$at })?;
            field!(@null_check_get $m $at $name [$($null)*]);
            return Ok(true);
        }
    };

    (@null_check_get $m:ident $at:ident $name:ident []) => {};
    (@null_check_get $m:ident $at:ident $name:ident [$($null:tt)+]) => {
        if $m.$name.is_none() && !$at.within(versions_of!([$($null)+])) {
            return Err(DecodeError::NullField { field: stringify!($name), version: $at.version });
        }
    };

    (@put $m:ident $w:ident $at:ident $name:ident $range:tt [$($null:tt)*] []) => {
        if $at.within(versions_of!($range)) {
            field!(@null_check_put $m $at $name [$($null)*]);
            $m.$name.put($w, $at)?;
        }
    };
    (@put $m:ident $w:ident $at:ident $name:ident $range:tt $null:tt [$tag:literal]) => {};

    (@null_check_put $m:ident $at:ident $name:ident []) => {};
    (@null_check_put $m:ident $at:ident $name:ident [$($null:tt)+]) => {
        if $m.$name.is_none() && !$at.within(versions_of!([$($null)+])) {
            return Err(EncodeError::NullField { field: stringify!($name), version: $at.version });
        }
    };

    (@is_tagged $m:ident $d:ident $at:ident $name:ident $range:tt []) => { false };
    (@is_tagged $m:ident $d:ident $at:ident $name:ident $range:tt [$tag:literal]) => {
        $at.within(versions_of!($range)) && $m.$name != $d.$name
    };

    (@put_tagged $m:ident $w:ident $d:ident $at:ident $unknown:ident $name:ident $range:tt $null:tt []) => {};
    (@put_tagged $m:ident $w:ident $d:ident $at:ident $unknown:ident $name:ident $range:tt [$($null:tt)*] [$tag:literal]) => {
        if field!(@is_tagged $m $d $at $name $range [$tag]) {
            field!(@null_check_put $m $at $name [$($null)*]);
            $unknown = $w.unknown_below($unknown, $tag)?;
            $w.tagged_field($tag, |w| $m.$name.put(w, At { tagged: true, ..$at }))?;
        }
    };
}

/// Declares messages, see the top of this file.
macro_rules! messages {
    (
        versions $low:literal ..= $high:literal, flexible $flexible:expr;
        $(message $($message:ident),+;)?
        $(
            $(#[$doc:meta])*
            struct $name:ident {
                $(
                    $(#[$field_doc:meta])*
                    $field:ident : $ty:ty [$($range:tt)+] $(null [$($null:tt)+])? $(tag $tag:literal)? $(= $default:expr)?,
                )*
            }
        )+
    ) => {
        $($(
            impl crate::schema::Message for $message {
                const NAME: &'static str = stringify!($message);
                const VERSIONS: (i16, i16) = ($low, $high);
                const FLEXIBLE_FROM: i16 = $flexible;

                fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
                    let at = At::of::<Self>(version).ok_or_else(|| no_such_version_to_decode::<Self>(version))?;
                    Self::get(r, at)
                }

                fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                    let at = At::of::<Self>(version).ok_or_else(|| no_such_version_to_encode::<Self>(version))?;
                    self.put(w, at)
                }
            }
        )+)?

        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                $( $(#[$field_doc])* pub $field: $ty, )*
                /// Tagged fields that the schema does not name: number and bytes, as they came.
                pub unknown_tags: Vec<(u32, Vec<u8>)>,
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $( $field: default_of!($($default)?), )* unknown_tags: Vec::new() }
                }
            }

            #[allow(unused_variables, unused_mut)]
            impl Wire for $name {
                const LEN_MIN: usize = at_least_one(
                    0 $( + field!(@len_min [$($range)+] [$($tag)?] $ty, ($low, $high)) )*
                );

                fn get(r: &mut Reader<'_>, at: At) -> Result<Self, DecodeError> {
                    let at = At { tagged: false, ..at };
                    let mut m = Self::default();
                    $( field!(@get m r at $field [$($range)+] [$($($null)+)?] [$($tag)?]); )*
                    if at.flexible {
                        let mut unknown = Vec::new();
                        r.tagged_fields(&mut unknown, |number, r| {
                            $( field!(@get_tagged m r at number $field [$($range)+] [$($($null)+)?] [$($tag)?]); )*
                            Ok(false)
                        })?;
                        m.unknown_tags = unknown;
                    }
                    Ok(m)
                }

                fn put(&self, w: &mut Writer, at: At) -> Result<(), EncodeError> {
                    let at = At { tagged: false, ..at };
                    $(
                        let from = w.bytes.len();
                        field!(@put self w at $field [$($range)+] [$($($null)+)?] [$($tag)?]);
                        w.wrote(stringify!($field), from);
                    )*
                    if at.flexible {
                        let default = Self::default();
                        let count = 0usize
                            $( + usize::from(field!(@is_tagged self default at $field [$($range)+] [$($tag)?])) )*;
                        w.tag_count(count + self.unknown_tags.len())?;
                        let mut unknown = self.unknown_tags.as_slice();
                        $( field!(@put_tagged self w default at unknown $field [$($range)+] [$($($null)+)?] [$($tag)?]); )*
                        w.unknown(unknown)?;
                    }
                    Ok(())
                }
            }

            impl Nullable for $name {
                fn get_nullable(r: &mut Reader<'_>, at: At) -> Result<Option<Self>, DecodeError> {
                    get_nullable_struct(r, at)
                }
                fn put_nullable(value: Option<&Self>, w: &mut Writer, at: At) -> Result<(), EncodeError> {
                    put_nullable_struct(value, w, at)
                }
            }
        )+
    };
}

/// Says which API a request belongs to and what answers it.
macro_rules! api {
    ($key:ident: $request:ident => $response:ident) => {
        impl crate::schema::Request for $request {
            const KEY: crate::ApiKey = crate::ApiKey::$key;
            type Response = $response;
        }
    };
}

/// What a file of declarations needs in scope.
pub(crate) mod prelude {
    pub(crate) use super::{
        At, NEVER, Nullable, Wire, always, at_least_one, get_nullable_struct, no_such_version_to_decode,
        no_such_version_to_encode, put_nullable_struct,
    };
    pub(crate) use crate::codec::{DecodeError, EncodeError, Reader, Records, Writer};
    pub(crate) use crate::{Uuid, schema::Message};
}
