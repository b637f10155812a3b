//! Schemas for the OpenAPI document of what no derive can describe: bounded texts, ids, and bodies that are parsed by hand.
//!
//! A request's schema says what its parser takes, as far as JSON Schema can say it. What it cannot: lengths in bytes (it
//! counts characters, of which there are never more), that `1.0` is no integer here, the size and depth of an object, and
//! relations between members.

use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::limits::SAFE_INTEGER_MAX;

/// The schemas a type refers to, by name.
pub(crate) type Named = Vec<(String, RefOr<Schema>)>;

/// Gives a type the schema that the block makes; the types it refers to are named before it.
macro_rules! describe {
    ($name:ty, refers to [$($other:ty),* $(,)?], $schema:block) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> $schema
        }

        impl utoipa::ToSchema for $name {
            fn schemas(schemas: &mut $crate::schema::Named) {
                let _ = &schemas; // where nothing is referred to
                $($crate::schema::collect::<$other>(schemas);)*
            }
        }
    };
}
pub(crate) use describe;

/// A reference to the schema of `T` among the document's components.
pub(crate) fn named<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Puts the schema of `T`, and of whatever it refers to, among the document's components.
pub(crate) fn collect<T: ToSchema>(schemas: &mut Named) {
    schemas.push((T::name().into(), T::schema()));
    T::schemas(schemas);
}

/// A string of `min` to `max` bytes.
pub(crate) fn text(description: &str, min: usize, max: usize) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(description.trim()));
    text.min_length(Some(min).filter(|min| *min > 0)).max_length(Some(max)).into()
}

/// A string of a certain form, with an example.
pub(crate) fn patterned(description: &str, pattern: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description.trim())).pattern(Some(pattern)).examples([example])
}

/// One of these strings.
pub(crate) fn one_of(texts: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts.iter().copied()))
}

/// A whole number within bounds.
pub(crate) fn integer(min: i64, max: i64) -> ObjectBuilder {
    let integer = ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    integer.minimum(Some(min)).maximum(Some(max))
}

/// `true` or `false`.
pub(crate) fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

/// `null` and nothing else.
pub(crate) fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// An array with so many items.
pub(crate) fn array(items: RefOr<Schema>, min: usize, max: usize) -> ArrayBuilder {
    ArrayBuilder::new().items(items).min_items(Some(min).filter(|min| *min > 0)).max_items(Some(max))
}

/// Any of these.
pub(crate) fn any_of(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> AnyOfBuilder {
    schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item)
}

/// An object with no other members than those it names.
pub(crate) fn closed(object: ObjectBuilder) -> ObjectBuilder {
    object.additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// An object of a request, member by member. Those it does not name are ignored, whatever they hold.
pub(crate) struct Members(ObjectBuilder);

impl Members {
    pub(crate) fn of(description: &str) -> Self {
        Self(ObjectBuilder::new().schema_type(Type::Object).description(Some(description)))
    }

    /// One that must be there, and must not be absent in the sense of [`Absent`].
    pub(crate) fn required(self, name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, described(schema.into(), about)).required(name))
    }

    /// One that may be absent.
    pub(crate) fn optional(self, name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, any_of([schema.into(), named::<Absent>()]).description(Some(about))))
    }

    /// One that may be absent or `null`, and where `[]` and `{}` say something.
    pub(crate) fn nullable(self, name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, any_of([schema.into(), null().into()]).description(Some(about))))
    }

    /// One that must be absent.
    pub(crate) fn absent(self, name: &str, about: &str) -> Self {
        Self(self.0.property(name, described(named::<Absent>(), about)))
    }

    pub(crate) fn build(self) -> RefOr<Schema> {
        self.0.into()
    }

    /// The same, of an object in which members it does not name must be absent.
    pub(crate) fn build_closed(self) -> RefOr<Schema> {
        self.0.additional_properties(Some(named::<Absent>())).into()
    }

    /// The same, of an object in which members it does not name are refused unless they are `null`.
    pub(crate) fn build_strict(self) -> RefOr<Schema> {
        self.0.additional_properties(Some(null())).into()
    }
}

fn described(schema: RefOr<Schema>, about: &str) -> RefOr<Schema> {
    match schema {
        RefOr::Ref(mut reference) => {
            reference.description = about.to_owned();
            RefOr::Ref(reference)
        }
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(about.to_owned());
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = Some(about.to_owned());
            RefOr::T(Schema::Array(array))
        }
        other => other,
    }
}

/// `null`, `[]` and `{}` mean that a member is absent, since clients send every key they know.
pub(crate) enum Absent {}

impl PartialSchema for Absent {
    fn schema() -> RefOr<Schema> {
        let nothing = array(RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(SchemaType::AnyValue).build())), 0, 0);
        let empty = ObjectBuilder::new().schema_type(Type::Object).max_properties(Some(0));
        any_of([null().into(), nothing.into(), empty.into()])
            .description(Some("As if the member were not there: `null`, `[]` and `{}` all mean that."))
            .into()
    }
}

impl ToSchema for Absent {}

/// A JSON value that can be signed.
pub(crate) enum Signable {}

impl PartialSchema for Signable {
    fn schema() -> RefOr<Schema> {
        let array = ArrayBuilder::new().items(named::<Self>());
        let object = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(named::<Self>()));
        let text = ObjectBuilder::new().schema_type(Type::String);
        let integer = integer(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX);
        any_of([null().into(), boolean().into(), integer.into(), text.into(), array.into(), object.into()])
            .description(Some(
                "A JSON value that can be signed: no floats (`1.0` is one), integers within plus or minus 2^53 - 1, no lone surrogates, \
                 no member named twice.",
            ))
            .into()
    }
}

impl ToSchema for Signable {}

/// An object that is signed, without the names in `reserved`.
pub(crate) fn signable_object(reserved: &[&str]) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(named::<Signable>()));
    if reserved.is_empty() {
        return object;
    }
    let names = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^(?!({})$)", reserved.join("|"))));
    object.property_names(Some(names.build()))
}
