"""A trained model out of the door: `merged` weights, a GGUF file, a model card, and what `push` would send.

| module | what it does |
|---|---|
| `trained` | the folder of a training or of a merged model -> what it is, what it was made from |
| `template` | a chat frame of ours as the Jinja template that others read |
| `merge` | adapter + base -> one model that Transformers loads, compared with the adapter |
| `gguf_file` | that model -> a GGUF file, compared with it in llama.cpp |
| `card` | the model card: data, licences, training, evaluation, limits |
| `push` | what would be sent to the hub, the checks, and the sending |
| `secrets` | keys and private paths in what would be sent |
"""
