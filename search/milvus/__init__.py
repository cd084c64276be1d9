"""The clip index in a Milvus server, for collections that outgrow a machine or are shared by several."""
