//! Reading: `DeserializeRow` and `DeserializeValue`.
//!
//! What is borrowed, is borrowed from the reply: all lifetimes of the struct become the reply's.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{GenericParam, Generics, Lifetime, Type, parse_quote, parse_quote_spanned};

use crate::input::{Field, Input, Kind, OneLifetime, Shape, place};

pub(crate) fn row(input: &Input) -> TokenStream {
    let krate = &input.krate;
    let Target { frame, ty, generics } = target(input, Shape::Row);
    let (parameters, _, bounds) = generics.split_for_impl();
    let fields = fields(input, Shape::Row);
    let trait_ = quote!(#krate::implement::DeserializeRowFields<#frame>);
    quote! {
        #fields

        #[automatically_derived]
        impl #parameters #krate::implement::DeserializeRow<#frame> for #ty #bounds {
            fn type_check(
                columns: &[#krate::implement::ColumnSpec],
            ) -> ::core::result::Result<(), #krate::implement::DeserializeError> {
                <Self as #trait_>::check_row(columns)
            }

            #[inline]
            fn is_in_order(columns: &[#krate::implement::ColumnSpec]) -> bool {
                <Self as #trait_>::is_row_in_order(columns)
            }

            #[inline(always)]
            fn deserialize(
                cells: &mut #krate::implement::Cells<#frame, '_>,
            ) -> ::core::result::Result<Self, #krate::implement::DeserializeError> {
                <Self as #trait_>::read_row(cells)
            }

            #[inline(always)]
            fn deserialize_sound(
                cells: &mut #krate::implement::Cells<#frame, '_>,
            ) -> ::core::option::Option<Self> {
                <Self as #trait_>::read_sound_row(cells)
            }
        }
    }
}

pub(crate) fn value(input: &Input) -> TokenStream {
    if input.is_transparent {
        return transparent(input);
    }
    let krate = &input.krate;
    let Target { frame, ty, generics } = target(input, Shape::Value);
    let (parameters, _, bounds) = generics.split_for_impl();
    let fields = fields(input, Shape::Value);
    let trait_ = quote!(#krate::implement::DeserializeUdtFields<#frame>);
    quote! {
        #fields

        #[automatically_derived]
        impl #parameters #krate::implement::DeserializeValue<#frame> for #ty #bounds {
            fn type_check(
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<(), #krate::implement::TypeMismatch> {
                <Self as #trait_>::check_udt(typ)
            }

            fn deserialize(
                typ: &#frame #krate::implement::ColumnType,
                cell: ::core::option::Option<&#frame [u8]>,
            ) -> ::core::result::Result<Self, #krate::implement::DeserializeError> {
                <Self as #trait_>::read_udt(typ, cell)
            }
        }
    }
}

/// A struct that is read as its only field.
fn transparent(input: &Input) -> TokenStream {
    let krate = &input.krate;
    let Target { frame, ty, generics } = target(input, Shape::Value);
    let (parameters, _, bounds) = generics.split_for_impl();
    let trait_ = quote!(#krate::implement::DeserializeValue<#frame>);
    let lifetimes = lifetimes(input);
    let of_type = input.columns().map(|field| {
        let ty = read_type(field, krate, &lifetimes);
        quote_spanned!(place(&field.ty)=> <#ty as #trait_>)
    });
    let of_type: Vec<_> = of_type.collect();
    let values = input.fields.iter().map(|field| {
        let member = &field.member;
        let value = match field.kind {
            Kind::Skip => quote!(::core::default::Default::default()),
            _ => from_read(field, krate, quote!(value)),
        };
        quote!(#member: #value)
    });
    let values: Vec<_> = values.collect();
    quote! {
        #[automatically_derived]
        impl #parameters #trait_ for #ty #bounds {
            const CELL_LEN_MIN: usize = 0 #(+ #of_type::CELL_LEN_MIN)*;

            #[inline]
            fn type_check(
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<(), #krate::implement::TypeMismatch> {
                #(#of_type::type_check(typ))*
            }

            #[inline(always)]
            fn deserialize(
                typ: &#frame #krate::implement::ColumnType,
                cell: ::core::option::Option<&#frame [u8]>,
            ) -> ::core::result::Result<Self, #krate::implement::DeserializeError> {
                let value = #(#of_type::deserialize(typ, cell)?)*;
                ::core::result::Result::Ok(Self { #(#values),* })
            }

            #[inline(always)]
            fn deserialize_sound(
                typ: &#frame #krate::implement::ColumnType,
                cells: &mut #krate::implement::Reader<#frame>,
            ) -> ::core::option::Option<Self> {
                let value = #(#of_type::deserialize_sound(typ, cells)?)*;
                ::core::option::Option::Some(Self { #(#values),* })
            }
        }
    }
}

/// The list of fields, `DeserializeFields`.
fn fields(input: &Input, shape: Shape) -> TokenStream {
    let krate = &input.krate;
    let Target { frame, ty: target, generics } = target(input, shape);
    let (parameters, _, bounds) = generics.split_for_impl();
    let as_shape = input.as_shape(shape);
    let trait_ = quote!(#krate::implement::DeserializeFields<#frame, #as_shape>);
    let (matching, forbid_excess) = (input.matching(), input.forbid_excess);
    let mut parts = Parts::default();
    let lifetimes = lifetimes(input);
    for field in &input.fields {
        parts.add(field, krate, &trait_, &lifetimes);
    }
    let Parts { count, len_min, visit_types, read_named, from_partial, read, read_sound, .. } =
        &parts;
    let (partial, pattern) = parts.nested();
    quote! {
        #[automatically_derived]
        impl #parameters #trait_ for #target #bounds {
            const COUNT: usize = 0 #(+ #count)*;
            const MATCHING: #krate::implement::Matching = #matching;
            const FORBID_EXCESS: bool = #forbid_excess;
            const LEN_MIN: usize = 0 #(+ #len_min)*;

            type Partial = #partial;

            #[inline(always)]
            fn visit_types<__E>(
                visit: &mut impl ::core::ops::FnMut(
                    #krate::implement::FieldType,
                ) -> ::core::result::Result<(), __E>,
            ) -> ::core::result::Result<(), __E> {
                #(#visit_types)*
                let _ = visit;
                ::core::result::Result::Ok(())
            }

            fn read_named(
                partial: &mut Self::Partial,
                name: u64,
                cells: &mut impl #krate::implement::CellSource<#frame>,
            ) -> ::core::result::Result<bool, #krate::implement::DeserializeError> {
                let #pattern = partial;
                #(#read_named)*
                let _ = (name, cells);
                ::core::result::Result::Ok(false)
            }

            fn from_partial(
                partial: Self::Partial,
            ) -> ::core::result::Result<Self, #krate::implement::DeserializeError> {
                let #pattern = partial;
                ::core::result::Result::Ok(Self { #(#from_partial),* })
            }

            #[inline(always)]
            fn read(
                cells: &mut impl #krate::implement::CellSource<#frame>,
            ) -> ::core::result::Result<Self, #krate::implement::DeserializeError> {
                let _ = &cells;
                ::core::result::Result::Ok(Self { #(#read),* })
            }

            #[inline(always)]
            fn read_sound(
                cells: &mut impl #krate::implement::CellSource<#frame>,
            ) -> ::core::option::Option<Self> {
                let _ = &cells;
                ::core::option::Option::Some(Self { #(#read_sound),* })
            }
        }
    }
}

/// What each field adds to the parts of `DeserializeFields`.
#[derive(Default)]
struct Parts {
    count: Vec<TokenStream>,
    len_min: Vec<TokenStream>,
    visit_types: Vec<TokenStream>,
    /// Type and name of what is found by name.
    partial: Vec<(TokenStream, syn::Ident)>,
    read_named: Vec<TokenStream>,
    from_partial: Vec<TokenStream>,
    read: Vec<TokenStream>,
    read_sound: Vec<TokenStream>,
}

impl Parts {
    fn add(
        &mut self,
        field: &Field,
        krate: &TokenStream,
        trait_: &TokenStream,
        lifetimes: &OneLifetime,
    ) {
        match field.kind {
            Kind::Skip => self.add_default(field),
            Kind::Flatten => self.add_flattened(field, trait_, lifetimes),
            Kind::Plain | Kind::Json => self.add_column(field, krate, lifetimes),
        }
    }

    fn add_default(&mut self, field: &Field) {
        let (member, span) = (&field.member, place(&field.ty));
        let value = quote_spanned!(span=> #member: ::core::default::Default::default());
        for part in [&mut self.from_partial, &mut self.read, &mut self.read_sound] {
            part.push(value.clone());
        }
    }

    fn add_flattened(&mut self, field: &Field, trait_: &TokenStream, lifetimes: &OneLifetime) {
        let Field { member, local, .. } = field;
        let ty = lifetimes.of(&field.ty);
        let span = place(&ty);
        let of_type = quote_spanned!(span=> <#ty as #trait_>);
        self.count.push(quote_spanned!(span=> #of_type::COUNT));
        self.len_min.push(quote_spanned!(span=> #of_type::LEN_MIN));
        self.visit_types.push(quote_spanned!(span=> #of_type::visit_types(visit)?;));
        self.partial.push((quote_spanned!(span=> #of_type::Partial), local.clone()));
        self.read_named.push(quote_spanned! {span=>
            if #of_type::read_named(#local, name, cells)? {
                return ::core::result::Result::Ok(true);
            }
        });
        self.from_partial.push(quote_spanned!(span=> #member: #of_type::from_partial(#local)?));
        self.read.push(quote_spanned!(span=> #member: #of_type::read(cells)?));
        self.read_sound.push(quote_spanned!(span=> #member: #of_type::read_sound(cells)?));
    }

    fn add_column(&mut self, field: &Field, krate: &TokenStream, lifetimes: &OneLifetime) {
        let Field { member, local, ty, allow_missing, .. } = field;
        let span = place(ty);
        let name = field.field_name(krate);
        let read_type = read_type(field, krate, lifetimes);
        let of_type = quote_spanned!(span=> <#read_type as #krate::implement::DeserializeValue>);
        let default = quote_spanned!(span=> ::core::default::Default::default());
        self.count.push(quote!(1));
        if !allow_missing {
            self.len_min.push(quote!(#of_type::CELL_LEN_MIN));
        }
        self.visit_types.push(quote! {
            visit(#krate::implement::FieldType {
                name: #name,
                type_check: #of_type::type_check,
                may_be_missing: #allow_missing,
            })?;
        });
        self.partial.push((quote!(::core::option::Option<#read_type>), local.clone()));
        self.read_named.push(quote_spanned! {span=>
            if name == #name.hash() {
                *#local = ::core::option::Option::Some(cells.field(#name)?);
                return ::core::result::Result::Ok(true);
            }
        });
        let found = from_read(field, krate, quote!(value));
        let missing = if *allow_missing {
            default.clone()
        } else {
            quote!(return ::core::result::Result::Err(#name.no_column()))
        };
        self.from_partial.push(quote! {
            #member: match #local {
                ::core::option::Option::Some(value) => #found,
                ::core::option::Option::None => #missing,
            }
        });
        let next = quote_spanned!(span=> cells.field::<#read_type>(#name)?);
        let next = from_read(field, krate, next);
        let next_sound = quote_spanned!(span=> cells.sound_field::<#read_type>()?);
        let next_sound = from_read(field, krate, next_sound);
        if *allow_missing {
            let is_next = quote!(cells.is_next(#name));
            let or_default =
                |next: TokenStream| quote!(#member: if #is_next { #next } else { #default });
            self.read.push(or_default(next));
            self.read_sound.push(or_default(next_sound));
        } else {
            self.read.push(quote!(#member: #next));
            self.read_sound.push(quote!(#member: #next_sound));
        }
    }

    /// The type of all that is found by name, and the pattern that takes it apart: pairs, since
    /// tuples of many have no default.
    fn nested(&self) -> (TokenStream, TokenStream) {
        self.partial.iter().rev().fold((quote!(()), quote!(())), |(types, names), (ty, name)| {
            (quote!((#ty, #types)), quote!((#name, #names)))
        })
    }
}

/// The type that a field's cell is read as: its own, or one that tells a null.
fn read_type(field: &Field, krate: &TokenStream, lifetimes: &OneLifetime) -> TokenStream {
    let ty = lifetimes.of(&field.ty);
    let read = field.value_type(&ty, krate);
    if field.default_when_null {
        quote_spanned!(place(&ty)=> ::core::option::Option<#read>)
    } else {
        read
    }
}

/// The field's value from `read`, which is of the [`read_type`].
fn from_read(field: &Field, krate: &TokenStream, read: TokenStream) -> TokenStream {
    let value = match field.kind {
        Kind::Json => {
            let inner = quote!(|#krate::implement::Json(value)| value);
            match (field.is_json_option(), field.default_when_null) {
                (false, false) => quote!((#read).0),
                (true, true) => quote! {
                    ::core::option::Option::map(
                        ::core::option::Option::flatten(#read),
                        #inner,
                    )
                },
                _ => quote!(::core::option::Option::map(#read, #inner)),
            }
        }
        _ => read,
    };
    match field.default_when_null && !field.is_json_option() {
        true => quote_spanned! {place(&field.ty)=>
            ::core::option::Option::unwrap_or_default(#value)
        },
        false => value,
    }
}

/// What the trait is implemented for.
struct Target {
    /// The reply's lifetime.
    frame: Lifetime,
    /// The struct, with that lifetime for each of its own.
    ty: TokenStream,
    /// Parameters and bounds of the implementation.
    generics: Generics,
}

fn target(input: &Input, shape: Shape) -> Target {
    let Input { ident, krate, .. } = input;
    let lifetimes = lifetimes(input);
    let frame = lifetimes.instead.clone();
    let arguments = input.generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => quote!(#frame),
        GenericParam::Type(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
        GenericParam::Const(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
    });
    let ty = quote!(#ident<#(#arguments),*>);
    let mut generics = input.generics.clone();
    let others = generics.params.into_iter().filter(|p| !matches!(p, GenericParam::Lifetime(_)));
    generics.params = std::iter::once(parse_quote!(#frame)).chain(others).collect();
    generics.lt_token = Some(Default::default());
    generics.gt_token = Some(Default::default());
    lifetimes.clone().visit_generics_mut(&mut generics);
    let as_shape = input.as_shape(shape);
    for field in &input.fields {
        if !input.is_generic(&field.ty) {
            continue;
        }
        let ty = lifetimes.of(&field.ty);
        let span = place(&ty);
        let predicates = &mut generics.make_where_clause().predicates;
        let read = read_type(field, krate, &lifetimes);
        match field.kind {
            Kind::Skip => {}
            Kind::Flatten => predicates.push(parse_quote_spanned! {span=>
                #ty: #krate::implement::DeserializeFields<#frame, #as_shape>
            }),
            Kind::Plain | Kind::Json => predicates.push(parse_quote_spanned! {span=>
                #read: #krate::implement::DeserializeValue<#frame>
            }),
        }
        if field.kind == Kind::Skip || field.default_when_null || field.allow_missing {
            predicates.push(parse_quote_spanned!(span=> #ty: ::core::default::Default));
        }
    }
    Target { frame, ty, generics }
}

fn lifetimes(input: &Input) -> OneLifetime {
    let own = input.generics.lifetimes().map(|param| param.lifetime.clone()).collect();
    OneLifetime { own, instead: parse_quote!('__frame) }
}

impl OneLifetime {
    fn of(&self, ty: &Type) -> Type {
        let mut ty = ty.clone();
        self.clone().visit_type_mut(&mut ty);
        ty
    }
}
