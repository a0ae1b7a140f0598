//! The node's CQL: text to tokens to syntax tree. `README.md` of the crate lists the grammar.

pub(crate) mod ast;
pub(crate) mod lexer;
pub(crate) mod parser;
mod parser_ddl;
mod parser_describe;
mod parser_roles;
mod parser_select;
mod parser_term;
