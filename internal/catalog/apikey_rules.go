package catalog

import "unicode/utf8"

// Bounds of a key's value, in characters.
const (
	minKeyValue = 20
	maxKeyValue = 128
)

// MaxPlansPerKey is how many usage plans a key can be in.
const MaxPlansPerKey = 10

// ErrAPIKey answers an unknown key.
func ErrAPIKey() error { return violation(NotFound, "Invalid API Key identifier specified") }

// Check holds a key against AWS's rules.
func (k *APIKey) Check() error {
	if utf8.RuneCountInString(k.Name) > maxNameLength {
		return violation(Invalid, "Invalid API Key name, can be at most 1024 characters.")
	}
	if utf8.RuneCountInString(k.Description) > maxDescriptionLength {
		return violation(Invalid, "Invalid API Key description specified.")
	}
	if utf8.RuneCountInString(k.CustomerID) > maxNameLength {
		return violation(Invalid, "Invalid customer ID specified.")
	}
	return nil
}

// CheckKeyValue holds a key value that a caller chose against AWS's rules. The
// message never holds the value.
func CheckKeyValue(value string) error {
	switch n := utf8.RuneCountInString(value); {
	case n < minKeyValue:
		return violation(Invalid, "API Key value should be at least 20 characters")
	case n > maxKeyValue:
		return violation(Invalid, "API Key value exceeds maximum size of 128 characters")
	}
	for i := range len(value) {
		// What cannot travel unchanged in a header can never match.
		if c := value[i]; c <= ' ' || c > '~' {
			return violation(Invalid, "API Key value can only contain printable ASCII characters without spaces")
		}
	}
	return nil
}
