package conformance_test

func tablePrograms() map[string]program { return map[string]program{} }
