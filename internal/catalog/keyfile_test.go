package catalog

import (
	"fmt"
	"strings"
	"testing"
)

const fileKey = "apikey1234abcdefghij0123456789"

// told writes rows as a person would: name, value, description, enabled, plans.
func told(rows []KeyFileRow) string {
	var all []string
	for _, r := range rows {
		text := fmt.Sprintf("%d:%s|%s|%s|%v|%s", r.Line, r.Name, strings.ReplaceAll(r.Value, fileKey, "KEY"), r.Description, r.Enabled, strings.Join(r.PlanIDs, "+"))
		if r.Problem != nil {
			text = fmt.Sprintf("%d:! %s", r.Line, r.Problem)
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

func TestKeyFiles(t *testing.T) {
	many := strings.Repeat("p,", MaxPlansPerKey) + "p"
	for _, c := range []struct{ name, file, want string }{
		// The examples of AWS's page.
		{"key and name", "Key,name\n" + fileKey + ",MyFirstApiKey", "2:MyFirstApiKey|KEY||true|"},
		{"all columns", "Name,key,description,Enabled,usageplanIds\nMyFirstApiKey," + fileKey + ",An imported key,TRUE,c7y23b", "2:MyFirstApiKey|KEY|An imported key|true|c7y23b"},
		{"two plans", "Enabled,Name,key,UsageplanIds\ntrue,MyFirstApiKey," + fileKey + `,"c7y23b,glvrsr"`, "2:MyFirstApiKey|KEY||true|c7y23b+glvrsr"},

		{"two plans in single quotes", "name,key,usageplanids\nn," + fileKey + ",'a, b'\nm," + fileKey + ",c", "2:n|KEY||true|a+b\n3:m|KEY||true|c"},
		{"any case of enabled", "name,key,enabled\nn," + fileKey + ",tRuE\nn," + fileKey + ",FALSE\nn," + fileKey + ",\nn," + fileKey, "2:n|KEY||true|\n3:n|KEY||false|\n4:n|KEY||true|\n5:n|KEY||true|"},
		{"no boolean", "name,key,enabled\nn," + fileKey + ",yes", "2:! Enabled must be true or false"},
		{"blanks around cells", " NAME ,\tKey , x, enabled \n n  ,  " + fileKey + "\t, y ,  false  ", "2:n|KEY||false|"},
		{"blanks in quotes", "name,key\n\" n \" , " + fileKey, "2: n |KEY||true|"},
		{"unknown columns", "colour,name,size,key\nred,n,4," + fileKey, "2:n|KEY||true|"},
		{"CR LF, a mark, and an empty last line", "\xef\xbb\xbfname,key\r\nn," + fileKey + "\r\n\r\n", "2:n|KEY||true|"},
		{"CR alone", "name,key\rn," + fileKey + "\rm," + fileKey, "2:n|KEY||true|\n3:m|KEY||true|"},
		{"empty lines", "\n\n  \nname,key\n\nn," + fileKey + "\n\n\nm," + fileKey + "\n", "6:n|KEY||true|\n9:m|KEY||true|"},
		{"quotes in quotes", "name,key,description\n\"a \"\"b\"\", c\"," + fileKey + ",'it''s, fine'", `2:a "b", c|KEY|it's, fine|true|`},
		{"a line's end in quotes", "name,key,description\nn," + fileKey + ",\"one\r\ntwo\"\nm," + fileKey + ",", "2:n|KEY|one\r\ntwo|true|\n4:m|KEY||true|"},
		{"apostrophes", "name,key,description\n'tis," + fileKey + ",O'Brien's\n'a'b," + fileKey + ",'", "2:'tis|KEY|O'Brien's|true|\n3:'a'b|KEY|'|true|"},
		{"an empty name", "name,key\n," + fileKey, "2:|KEY||true|"},
		{"no key", "name,key\nn,\nn", "2:! API Key value should be at least 20 characters\n3:! API Key value should be at least 20 characters"},
		{"a short key", "name,key\nn," + fileKey[:19], "2:! API Key value should be at least 20 characters"},
		{"a short key that is long enough", "name,key\nn," + fileKey[:20], "2:n|" + fileKey[:20] + "||true|"},
		{"a long key", "name,key\nn," + strings.Repeat("k", 129), "2:! API Key value exceeds maximum size of 128 characters"},
		{"an odd key", "name,key\nn," + fileKey + " x", "2:! API Key value can only contain printable ASCII characters without spaces"},
		{"a long name", "name,key\n" + strings.Repeat("n", 1025) + "," + fileKey, "2:! Invalid API Key name, can be at most 1024 characters."},
		{"plans without quotes", "name,key,usageplanids\nn," + fileKey + ",a,b", "2:! there are 4 cells under 3 column names; several usage plan ids are one cell in quotes"},
		{"commas at the end", "name,key,,\nn," + fileKey + ",,,,,", "2:n|KEY||true|"},
		{"ten plans", "name,key,usageplanids\nn," + fileKey + ",\"" + many[2:] + "\"", "2:n|KEY||true|p+p+p+p+p+p+p+p+p+p"},
		{"eleven plans", "name,key,usageplanids\nn," + fileKey + ",\"" + many + "\"", "2:! an API Key can be in at most 10 Usage Plans"},
		{"only a header", "name,key\n", ""},
	} {
		rows, err := ReadKeyFile([]byte(c.file), MaxKeyFileRows)
		if got := told(rows); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	row := "n," + fileKey + "\n"
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "must begin with a line of column names"},
		{"blank", " \n\r\n", "must begin with a line of column names"},
		{"no header", row, "Line 1: the column names must have Name and Key"},
		{"no key column", "name,value\n" + row, "Line 1: the column names must have Name and Key"},
		{"semicolons", "name;key\nn;" + fileKey, "Line 1: the column names must have Name and Key"},
		{"a column twice", "name,key,Key\n" + row, "Line 1: the column key is there twice"},
		{"a quote that does not end", "name,key\n" + row + "\"n," + fileKey + "\n" + row, "Line 3: a cell in quotes does not end"},
		{"text behind a quote", "name,key\n" + row + "\n\"n\"x," + fileKey, "Line 4: there is text behind a cell in quotes"},
		{"Latin-1", "name,key\nM\xfcller," + fileKey, "must be UTF-8"},
		{"UTF-16", "\xff\xfen\x00a\x00", "must be UTF-8"},
		{"too many rows", "name,key\n" + strings.Repeat(row, MaxKeyFileRows+1), "at most 10000 keys"},
	} {
		rows, err := ReadKeyFile([]byte(c.file), MaxKeyFileRows)
		broken(t, c.name, err, Invalid, c.want)
		if rows != nil {
			t.Errorf("%s: rows %v", c.name, rows)
		}
	}
	rows, err := ReadKeyFile([]byte("name,key\n"+strings.Repeat(row, MaxKeyFileRows)), MaxKeyFileRows)
	if err != nil || len(rows) != MaxKeyFileRows {
		t.Errorf("%d rows: %v", len(rows), err)
	}
}

// Whatever is in a file, it is read within bounds, a row is a key or has a
// problem, no problem shows a value, and written again it says the same.
func FuzzKeyFile(f *testing.F) {
	for _, text := range []string{
		"Key,name\n" + fileKey + ",MyFirstApiKey", "\xef\xbb\xbfname,key,usageplanids\r\n\"n\"\"\"," + fileKey + ",'a,b'\r\n", "name,key\r'tis," + fileKey + ",\r\r",
		"name,key,enabled\n\"a\nb\",x, no", "\"", "'", ",,\n", "name,key\n\"\"x",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := ReadKeyFile(text, MaxKeyFileRows)
		if err != nil {
			if rows != nil || len(err.Error()) > 200 {
				t.Errorf("%d rows and %v", len(rows), err)
			}
			return
		}
		last := 1
		for _, r := range rows {
			if r.Line <= last {
				t.Errorf("line %d comes behind line %d", r.Line, last)
			}
			last = r.Line
			if r.Problem == nil && (CheckKeyValue(r.Value) != nil || len(r.PlanIDs) > MaxPlansPerKey) {
				t.Errorf("%+v has no problem", r)
			}
			if r.Problem != nil && len(r.Value) > 10 && strings.Contains(r.Problem.Error(), r.Value) {
				t.Errorf("the problem shows the value: %v", r.Problem)
			}
		}
		if last > lineEnds(string(text))+1 {
			t.Errorf("line %d of %d", last, lineEnds(string(text))+1)
		}
		written, lines := WriteKeyFile(rows)
		again, err := ReadKeyFile(written, MaxKeyFileRows)
		if err != nil || len(again) != len(rows) {
			t.Fatalf("written again: %d rows of %d, %v", len(again), len(rows), err)
		}
		for i, r := range rows {
			a := again[i]
			if a.Line != lines[i] {
				t.Errorf("row %d is on line %d, and was told to be on %d", i, a.Line, lines[i])
			}
			if r.Problem != nil {
				continue
			}
			if a.Name != r.Name || a.Value != r.Value || a.Description != r.Description || a.Enabled != r.Enabled || fmt.Sprint(a.PlanIDs) != fmt.Sprint(r.PlanIDs) {
				t.Errorf("%+v became %+v", r, a)
			}
		}
	})
}
