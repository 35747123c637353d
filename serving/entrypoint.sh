#!/bin/sh
# Starts the server on all addresses of its container; flags that are given come last, so they win.
exec python -m serving serve --host=0.0.0.0 --model_name="$MODEL_NAME" --model_base_path="/models/$MODEL_NAME" "$@"
