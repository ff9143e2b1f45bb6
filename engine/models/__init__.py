"""Models: their configuration, weights and tokenizers, from Hugging Face directories and Llama GGUF files."""
