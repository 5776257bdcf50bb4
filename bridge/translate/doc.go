// Package translate turns AS2 into lexicon records and back, directly, without a model in between. Every function is
// pure: values in, values out, no context, clock, network or database. What a conversion needs is listed by its Refs
// function, resolved by the caller and handed in as a Context. What cannot be carried is named in a closed list of
// losses, and an input that is not bridged has one reason of a closed list.
package translate
