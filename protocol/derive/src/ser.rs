//! Binding: `SerializeRow` and `SerializeValue`.
//!
//! Next: `de.rs`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Generics, parse_quote_spanned};

use crate::input::{Field, Input, Kind, Shape, place};

pub(crate) fn row(input: &Input) -> TokenStream {
    let Input { ident, krate, .. } = input;
    let fields = fields(input, Shape::Row);
    let generics = bounded(input, Shape::Row);
    let (parameters, arguments, bounds) = generics.split_for_impl();
    quote! {
        #fields

        #[automatically_derived]
        impl #parameters #krate::implement::SerializeRow for #ident #arguments #bounds {
            #[inline]
            fn type_check(
                &self,
                columns: &[#krate::implement::ColumnSpec],
            ) -> ::core::result::Result<(), #krate::implement::SerializeError> {
                <Self as #krate::implement::SerializeRowFields>::check_row(columns)
            }

            #[inline]
            fn type_key(&self) -> ::core::option::Option<usize> {
                ::core::option::Option::Some(
                    <Self as #krate::implement::SerializeRowFields>::check_key(),
                )
            }

            #[inline]
            fn value_count(&self) -> usize {
                <Self as #krate::implement::SerializeFields<#krate::implement::AsRow>>::COUNT
            }

            #[inline]
            fn values_len(
                &self,
                columns: &[#krate::implement::ColumnSpec],
            ) -> ::core::result::Result<usize, #krate::implement::SerializeError> {
                #krate::implement::SerializeRowFields::row_len(self, columns)
            }

            #[inline]
            fn write_values(
                &self,
                columns: &[#krate::implement::ColumnSpec],
                out: &mut #krate::implement::Writer<'_>,
            ) {
                #krate::implement::SerializeRowFields::write_row(self, columns, out);
            }

            #[inline]
            fn hash_column(
                &self,
                index: usize,
                columns: &[#krate::implement::ColumnSpec],
                sink: &mut #krate::implement::KeySink<'_>,
            ) -> ::core::result::Result<(), #krate::implement::SerializeError> {
                #krate::implement::SerializeRowFields::hash_row(self, index, columns, sink)
            }
        }
    }
}

pub(crate) fn value(input: &Input) -> TokenStream {
    if input.is_transparent {
        return transparent(input);
    }
    let Input { ident, krate, .. } = input;
    let fields = fields(input, Shape::Value);
    let generics = bounded(input, Shape::Value);
    let (parameters, arguments, bounds) = generics.split_for_impl();
    quote! {
        #fields

        #[automatically_derived]
        impl #parameters #krate::implement::SerializeValue for #ident #arguments #bounds {
            fn type_check(
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<(), #krate::implement::TypeMismatch> {
                <Self as #krate::implement::SerializeUdtFields>::check_udt(typ)
            }

            fn value_len(
                &self,
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<
                #krate::implement::ValueLen,
                #krate::implement::SerializeError,
            > {
                #krate::implement::SerializeUdtFields::udt_len(self, typ)
            }

            fn write(
                &self,
                typ: &#krate::implement::ColumnType,
                out: &mut #krate::implement::Writer<'_>,
            ) {
                #krate::implement::SerializeUdtFields::write_udt(self, typ, out);
            }
        }
    }
}

/// A struct that is bound as its only field.
fn transparent(input: &Input) -> TokenStream {
    let Input { ident, krate, .. } = input;
    let generics = bounded(input, Shape::Value);
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let trait_ = quote!(#krate::implement::SerializeValue);
    let field = input.columns().map(|field| {
        let ty = field.value_type(&field.ty, krate);
        (quote_spanned!(place(&field.ty)=> <#ty as #trait_>), bound_value(field, krate))
    });
    let (of_type, value): (Vec<_>, Vec<_>) = field.unzip();
    quote! {
        #[automatically_derived]
        impl #parameters #trait_ for #ident #arguments #bounds {
            #[inline]
            fn type_check(
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<(), #krate::implement::TypeMismatch> {
                #(#of_type::type_check(typ))*
            }

            #[inline]
            fn value_len(
                &self,
                typ: &#krate::implement::ColumnType,
            ) -> ::core::result::Result<
                #krate::implement::ValueLen,
                #krate::implement::SerializeError,
            > {
                #(#trait_::value_len(#value, typ))*
            }

            #[inline]
            fn write(
                &self,
                typ: &#krate::implement::ColumnType,
                out: &mut #krate::implement::Writer<'_>,
            ) {
                #(#trait_::write(#value, typ, out);)*
            }

            #[inline]
            fn write_value(
                &self,
                typ: &#krate::implement::ColumnType,
                out: &mut #krate::implement::Writer<'_>,
            ) {
                #(#trait_::write_value(#value, typ, out);)*
            }
        }
    }
}

/// The list of fields, `SerializeFields`.
fn fields(input: &Input, shape: Shape) -> TokenStream {
    let Input { ident, krate, .. } = input;
    let generics = bounded(input, shape);
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let as_shape = input.as_shape(shape);
    let trait_ = quote!(#krate::implement::SerializeFields<#as_shape>);
    let (matching, forbid_excess) = (input.matching(), input.forbid_excess);
    let mut count = Vec::new();
    let mut visit_types = Vec::new();
    let mut visit = Vec::new();
    let mut visit_named = Vec::new();
    for field in input.columns() {
        let Field { member, ty, .. } = field;
        let span = place(ty);
        if field.kind == Kind::Flatten {
            count.push(quote_spanned!(span=> <#ty as #trait_>::COUNT));
            visit_types.push(quote_spanned!(span=> <#ty as #trait_>::visit_types(visit)?;));
            visit.push(quote_spanned! {span=>
                <#ty as #trait_>::visit(&self.#member, visitor)?;
            });
            visit_named.push(quote_spanned! {span=>
                if <#ty as #trait_>::visit_named(&self.#member, name, visitor)? {
                    return ::core::result::Result::Ok(true);
                }
            });
            continue;
        }
        let name = field.field_name(krate);
        let value_type = field.value_type(ty, krate);
        let value = bound_value(field, krate);
        count.push(quote!(1));
        visit_types.push(quote_spanned! {span=>
            visit(#krate::implement::FieldType {
                name: #name,
                type_check: <#value_type as #krate::implement::SerializeValue>::type_check,
                may_be_missing: false,
            })?;
        });
        visit.push(quote_spanned!(span=> visitor.value(#name, #value)?;));
        visit_named.push(quote_spanned! {span=>
            if name == #name.hash() {
                visitor.value(#name, #value)?;
                return ::core::result::Result::Ok(true);
            }
        });
    }
    quote! {
        #[automatically_derived]
        impl #parameters #trait_ for #ident #arguments #bounds {
            const COUNT: usize = 0 #(+ #count)*;
            const MATCHING: #krate::implement::Matching = #matching;
            const FORBID_EXCESS: bool = #forbid_excess;

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

            #[inline(always)]
            fn visit(
                &self,
                visitor: &mut impl #krate::implement::FieldVisitor,
            ) -> ::core::result::Result<(), #krate::implement::SerializeError> {
                #(#visit)*
                let _ = visitor;
                ::core::result::Result::Ok(())
            }

            #[inline]
            fn visit_named(
                &self,
                name: u64,
                visitor: &mut impl #krate::implement::FieldVisitor,
            ) -> ::core::result::Result<bool, #krate::implement::SerializeError> {
                #(#visit_named)*
                let _ = (name, visitor);
                ::core::result::Result::Ok(false)
            }
        }
    }
}

/// A reference to what is bound.
fn bound_value(field: &Field, krate: &TokenStream) -> TokenStream {
    let (member, span) = (&field.member, place(&field.ty));
    match field.kind {
        Kind::Json if field.is_json_option() => quote_spanned! {span=>
            &::core::option::Option::map(
                ::core::option::Option::as_ref(&self.#member),
                #krate::implement::Json,
            )
        },
        Kind::Json => quote_spanned!(span=> &#krate::implement::Json(&self.#member)),
        _ => quote_spanned!(span=> &self.#member),
    }
}

/// The struct's parameters, with bounds for the fields' types that depend on them.
fn bounded(input: &Input, shape: Shape) -> Generics {
    let krate = &input.krate;
    let as_shape = input.as_shape(shape);
    let mut generics = input.generics.clone();
    for field in input.columns().filter(|field| input.is_generic(&field.ty)) {
        let ty = &field.ty;
        let value_type = field.value_type(ty, krate);
        generics.make_where_clause().predicates.push(match field.kind {
            Kind::Flatten => parse_quote_spanned! {place(ty)=>
                #ty: #krate::implement::SerializeFields<#as_shape>
            },
            _ => parse_quote_spanned! {place(ty)=>
                #value_type: #krate::implement::SerializeValue
            },
        });
    }
    generics
}
