"""Talk to a model: in the terminal, right to left where the text is, or on a page that only this machine sees.

| module | what it does |
|---|---|
| `speaker` | a model by name -> its reply, piece by piece |
| `terminal` | turns on standard input and output |
| `page` | the same as a local page |
"""
