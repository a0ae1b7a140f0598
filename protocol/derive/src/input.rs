//! The struct and its attributes.
//!
//! What cannot be is refused here, with an error at the field or attribute; the rest of the crate
//! writes code for what is left.
//!
//! Next: `ser.rs`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Data, DeriveInput, Error, Generics, Ident, Lifetime, LitStr, Member, Result, Type,
};

/// What the struct is to be.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Shape {
    Row,
    Value,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Matching {
    ByName,
    InOrder,
    InOrderUnnamed,
}

/// A struct whose attributes make sense.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// Where the protocol's items are found.
    pub(crate) krate: TokenStream,
    pub(crate) matching: Matching,
    pub(crate) forbid_excess: bool,
    /// The struct is its only field.
    pub(crate) is_transparent: bool,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) member: Member,
    /// A name for it where the struct's own can't be used.
    pub(crate) local: Ident,
    pub(crate) ty: Type,
    /// What its column is called.
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    pub(crate) default_when_null: bool,
    pub(crate) allow_missing: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Kind {
    Plain,
    Json,
    Flatten,
    Skip,
}

#[derive(Default)]
struct StructAttributes {
    krate: Option<TokenStream>,
    flavor: Option<(Matching, Span)>,
    skip_name_checks: Option<Span>,
    forbid_excess: bool,
    transparent: Option<Span>,
}

#[derive(Default)]
struct FieldAttributes {
    rename: Option<LitStr>,
    skip: Option<Span>,
    flatten: Option<Span>,
    json: Option<Span>,
    default_when_null: Option<Span>,
    allow_missing: Option<Span>,
}

impl Input {
    pub(crate) fn new(input: DeriveInput, shape: Shape) -> Result<Self> {
        let Data::Struct(data) = input.data else {
            return Err(Error::new(input.ident.span(), "only structs can be rows or values"));
        };
        let attributes = StructAttributes::read(&input.attrs)?;
        let is_transparent = match attributes.transparent {
            Some(span) if shape == Shape::Row => {
                return Err(Error::new(span, "`transparent` is for values, a row has columns"));
            }
            transparent => transparent.is_some(),
        };
        let mut fields = Vec::new();
        for (index, field) in data.fields.iter().enumerate() {
            fields.push(Field::new(index, field)?);
        }
        let is_named = fields.iter().all(|field| matches!(field.member, Member::Named(_)));
        if shape == Shape::Value && !is_transparent && !is_named {
            let message = "a user-defined type needs names for its fields; a struct around one \
                           value can be `#[shardwire(transparent)]`";
            return Err(Error::new(input.ident.span(), message));
        }
        let matching = attributes.matching(is_named)?;
        let input = Self {
            ident: input.ident,
            generics: input.generics,
            krate: attributes.krate.unwrap_or_else(|| quote!(::shardwire)),
            matching,
            forbid_excess: attributes.forbid_excess,
            is_transparent,
            fields,
        };
        input.check(shape)?;
        Ok(input)
    }

    fn check(&self, shape: Shape) -> Result<()> {
        for (index, field) in self.fields.iter().enumerate() {
            if field.kind == Kind::Flatten && shape == Shape::Value {
                let message = "`flatten` is for rows: a user-defined type has all its fields";
                return Err(Error::new(field.span, message));
            }
            if field.allow_missing && self.matching == Matching::InOrderUnnamed {
                let message = "without names there is no telling which field is missing";
                return Err(Error::new(field.span, message));
            }
            let is_other = |other: &&Field| other.is_column() && other.name == field.name;
            if field.is_column() && self.fields.iter().take(index).any(|other| is_other(&other)) {
                let message = format!("there is another field for column `{}`", field.name);
                return Err(Error::new(field.span, message));
            }
        }
        if self.is_transparent && self.columns().count() != 1 {
            let message = "`transparent` is for structs of one field that is not skipped";
            return Err(Error::new(self.ident.span(), message));
        }
        Ok(())
    }

    /// The fields that have a column, or columns, of their own.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.kind != Kind::Skip)
    }

    /// The trait's parameter: `AsRow` or `AsUdt`.
    pub(crate) fn as_shape(&self, shape: Shape) -> TokenStream {
        let krate = &self.krate;
        match shape {
            Shape::Row => quote!(#krate::implement::AsRow),
            Shape::Value => quote!(#krate::implement::AsUdt),
        }
    }

    pub(crate) fn matching(&self) -> TokenStream {
        let krate = &self.krate;
        match self.matching {
            Matching::ByName => quote!(#krate::implement::Matching::ByName),
            Matching::InOrder => quote!(#krate::implement::Matching::InOrder),
            Matching::InOrderUnnamed => quote!(#krate::implement::Matching::InOrderUnnamed),
        }
    }

    /// Whether a type depends on the struct's type parameters, so that it needs a bound.
    pub(crate) fn is_generic(&self, ty: &Type) -> bool {
        let names = self.generics.type_params().map(|param| &param.ident).collect();
        let mut find = FindIdents { names, found: false };
        find.visit_type(ty);
        find.found
    }
}

impl StructAttributes {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut this = Self::default();
        for_each(attributes, |meta, is_ours| {
            let span = meta.path.span();
            match key(&meta).as_str() {
                "crate" => {
                    let path = path(&meta)?;
                    this.krate = is_ours.then_some(path); // the official driver's is not ours
                }
                "flavor" => this.flavor = Some((flavor(&meta)?, span)),
                "skip_name_checks" => this.skip_name_checks = Some(span),
                "forbid_excess_udt_fields" => this.forbid_excess = true,
                "transparent" => this.transparent = Some(span),
                _ => return Err(meta.error("no such attribute of a struct")),
            }
            Ok(())
        })?;
        Ok(this)
    }

    fn matching(&self, is_named: bool) -> Result<Matching> {
        match (self.flavor, self.skip_name_checks) {
            (Some((Matching::ByName, span)), _) if !is_named => {
                Err(Error::new(span, "the fields have no names to match by"))
            }
            (None | Some((Matching::ByName, _)), Some(span)) if is_named => {
                Err(Error::new(span, "`skip_name_checks` needs `flavor = \"enforce_order\"`"))
            }
            (_, Some(_)) => Ok(Matching::InOrderUnnamed),
            _ if !is_named => Ok(Matching::InOrderUnnamed),
            (Some((matching, _)), None) => Ok(matching),
            (None, None) => Ok(Matching::ByName),
        }
    }
}

impl FieldAttributes {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut this = Self::default();
        for_each(attributes, |meta, _| {
            let span = meta.path.span();
            match key(&meta).as_str() {
                "rename" => this.rename = Some(meta.value()?.parse()?),
                "skip" => this.skip = Some(span),
                "flatten" => this.flatten = Some(span),
                "json" => this.json = Some(span),
                "default_when_null" => this.default_when_null = Some(span),
                "allow_missing" => this.allow_missing = Some(span),
                _ => return Err(meta.error("no such attribute of a field")),
            }
            Ok(())
        })?;
        Ok(this)
    }

    fn kind(&self) -> Result<Kind> {
        let Some(flatten) = self.flatten else {
            return Ok(match (self.skip, self.json) {
                (Some(_), _) => Kind::Skip,
                (None, Some(_)) => Kind::Json,
                (None, None) => Kind::Plain,
            });
        };
        let others = [self.skip, self.json, self.default_when_null, self.allow_missing];
        let rename = self.rename.as_ref().map(LitStr::span);
        match others.into_iter().chain([rename]).flatten().next() {
            Some(_) => Err(Error::new(flatten, "`flatten` stands alone: the field has no column")),
            None => Ok(Kind::Flatten),
        }
    }
}

impl Field {
    fn new(index: usize, field: &syn::Field) -> Result<Self> {
        let attributes = FieldAttributes::read(&field.attrs)?;
        let member = match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::from(index),
        };
        if let (Some(rename), None) = (&attributes.rename, &field.ident) {
            return Err(Error::new(rename.span(), "a field without a name goes by position"));
        }
        let name = match (&attributes.rename, &field.ident) {
            (Some(rename), _) => rename.value(),
            (None, Some(ident)) => ident.unraw().to_string(),
            (None, None) => index.to_string(),
        };
        Ok(Self {
            member,
            local: format_ident!("field_{index}"),
            ty: field.ty.clone(),
            name,
            span: field.ident.as_ref().map_or_else(|| field.ty.span(), Ident::span),
            kind: attributes.kind()?,
            default_when_null: attributes.default_when_null.is_some(),
            allow_missing: attributes.allow_missing.is_some(),
        })
    }

    /// Whether it has a name that a column goes by.
    fn is_column(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Json)
    }

    /// Its name as a constant of the protocol's.
    pub(crate) fn field_name(&self, krate: &TokenStream) -> TokenStream {
        let name = &self.name;
        quote!(const { #krate::implement::FieldName::new(#name) })
    }

    /// The type that the value is read as, or that its type is checked as. `ty` is the field's.
    pub(crate) fn value_type(&self, ty: &Type, krate: &TokenStream) -> TokenStream {
        let span = place(ty);
        match (self.kind, inner_of_option(ty)) {
            (Kind::Json, Some(inner)) => quote_spanned! {span=>
                ::core::option::Option<#krate::implement::Json<#inner>>
            },
            (Kind::Json, None) => quote_spanned!(span=> #krate::implement::Json<#ty>),
            _ => quote!(#ty),
        }
    }

    pub(crate) fn is_json_option(&self) -> bool {
        self.kind == Kind::Json && inner_of_option(&self.ty).is_some()
    }
}

/// Where errors about `ty` point. Names are looked up as everywhere in the macro's code, not where
/// the type was written: that may be in a macro of the user's.
pub(crate) fn place(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}

/// Calls `read` for what stands in `#[shardwire(...)]`, or else in `#[scylla(...)]`.
fn for_each(
    attributes: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>, bool) -> Result<()>,
) -> Result<()> {
    let has_ours = attributes.iter().any(|attribute| attribute.path().is_ident("shardwire"));
    let name = if has_ours { "shardwire" } else { "scylla" };
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        attribute.parse_nested_meta(|meta| read(meta, has_ours))?;
    }
    Ok(())
}

fn key(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map_or_else(String::new, Ident::to_string)
}

/// The path behind `crate =`, bare or in quotes.
fn path(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let value = meta.value()?;
    let path: syn::Path = if value.peek(LitStr) {
        value.parse::<LitStr>()?.parse_with(syn::Path::parse_mod_style)?
    } else {
        value.call(syn::Path::parse_mod_style)?
    };
    Ok(quote!(#path))
}

fn flavor(meta: &ParseNestedMeta<'_>) -> Result<Matching> {
    let name: LitStr = meta.value()?.parse()?;
    match name.value().as_str() {
        "match_by_name" => Ok(Matching::ByName),
        "enforce_order" => Ok(Matching::InOrder),
        _ => Err(Error::new(name.span(), "a flavor is \"match_by_name\" or \"enforce_order\"")),
    }
}

/// `T` of a type that is written as some `Option<T>`.
fn inner_of_option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(inner) if last.ident == "Option" => Some(inner),
        _ => None,
    }
}

/// Looks for the names of type parameters.
struct FindIdents<'i> {
    names: Vec<&'i Ident>,
    found: bool,
}

impl<'ast> Visit<'ast> for FindIdents<'_> {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.found |= self.names.contains(&ident);
        visit::visit_ident(self, ident);
    }
}

/// Puts one lifetime in place of those that a struct has.
#[derive(Clone)]
pub(crate) struct OneLifetime {
    pub(crate) own: Vec<Lifetime>,
    pub(crate) instead: Lifetime,
}

impl VisitMut for OneLifetime {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if self.own.contains(lifetime) {
            *lifetime = self.instead.clone();
        }
        visit_mut::visit_lifetime_mut(self, lifetime);
    }
}
