package words

import (
	"bytes"
	"encoding/json"
)

// spoken are the names of those values in the programs' JSON that are sentences. All others
// are for programs, or names that somebody has given.
var spoken = map[string]bool{
	"error": true, "trouble": true, "why": true, "reason": true, "message": true, "meaning": true, "adjusted": true, "missed": true, "text": true,
}

// JSON is a JSON text with its sentences in the language.
func (l *Language) JSON(text []byte) []byte {
	if l.sentences == nil {
		return text
	}
	said := make([]byte, 0, len(text)+len(text)/8)
	name := ""
	for {
		begin := bytes.IndexByte(text, '"')
		if begin < 0 {
			return append(said, text...)
		}
		// What is between two strings tells whether the second one is the first one's value.
		if string(bytes.TrimSpace(text[:begin])) != ":" {
			name = ""
		}
		end := begin + stringLength(text[begin:])
		token := text[begin:end]
		said = append(said, text[:begin]...)
		said = append(said, l.inJSON(name, token)...)
		name = string(token[1:max(len(token)-1, 1)])
		text = text[end:]
	}
}

// stringLength is the length of the JSON string at the beginning of text.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// inJSON is a string of JSON, which is the value of a name.
func (l *Language) inJSON(name string, token []byte) []byte {
	var sentence string
	if !spoken[name] || json.Unmarshal(token, &sentence) != nil {
		return token
	}
	said, err := json.Marshal(l.Say(sentence))
	if err != nil {
		return token
	}
	return said
}
