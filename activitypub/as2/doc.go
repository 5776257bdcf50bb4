// Package as2 reads and writes ActivityStreams 2.0 documents.
//
// A document is read raw bytes first: limits are checked while a light tree is built, and ids, texts, dates, language
// maps and extensions come from that tree through tolerant accessors, because servers write one value, a list, an
// object or an id in the same place. JSON-LD contexts are never fetched or applied: the terms of the AS2 context are
// known by their compact names, which is what every server sends; "as:" and the full IRI are read as aliases.
//
// The package is the only importer of superseriousbusiness/activity, and uses it as a guarded, read-only view of the
// vocabulary (see Typed). What that library would write never reaches the wire. This package imports nothing of ours.
package as2
