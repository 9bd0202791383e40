# %% [markdown]
# # Where do the H-Neurons of a tuned model come from?
#
# A comparison of two miniature checkpoints that ship with the package, from Python. It needs `pip install
# 'checkpoint-provenance[notebook]'`, no GPU and no network, and takes a minute or two; a second time it takes the
# finished run out of the database.

# %%
import provenance

DATABASE = "provenance.db"  # a file, or any SQLAlchemy URL

# %% [markdown]
# ## Compare
#
# The base, then the checkpoint tuned from it: `org/name[@revision]` of the Hugging Face hub, a folder, or
# `lab/family/stage`. `quick=True` is a first look, with few draws for every chance level; leave it out for numbers to
# publish. Questions are those of the lab family; for other checkpoints say `questions=["mine.jsonl"]`.

# %%
run = provenance.compare("lab/inherited/base", "lab/inherited/instruct", db=DATABASE, quick=True, quiet=True)
run

# %% [markdown]
# From here on everything is read from the database, so it works as well on somebody else's:
# `provenance.open(DATABASE).run("latest")`, or a run by its number. `supported` means that every condition of a claim
# holds; `no power`, that nothing could have been found.

# %%
run = provenance.open(DATABASE).run(run.id)
claims = run.claims()
claims[["claim", "verdict", "decided_by", "value", "bar", "against"]]

# %% [markdown]
# ## The neurons
#
# In which layers are they, how far did tuning move them (`stability_rank`: 1 changed least), and can each of them
# alone tell hallucinated from faithful answers, in the base and in the tuned model?

# %%
neurons = run.neurons()
neurons.groupby("layer").size().rename("h_neurons").to_frame()

# %%
neurons[["layer", "neuron_index", "probe_weight", "stability_rank", "base_auroc", "instruct_auroc"]].head().round(3)

# %%
more = neurons["base_cett_hallucinated"] > neurons["base_cett_faithful"]
f"{more.sum()} of {len(neurons)} are more active on the base's hallucinated answers than on its faithful ones"

# %% [markdown]
# ## What transfer had to beat
#
# An AUROC above 0.5 would prove little. Each row is something simpler that might read the base's answers as well,
# with what the probe adds to it; p-values are corrected over the question sets.

# %%
ladder = run.table("ladder")
ladder.loc[ladder["dataset"] == "in-domain", ["kind", "auroc", "gain", "p_holm"]].round(3)

# %%
run.figure("4a")

# %% [markdown]
# ## Any other question, in SQL
#
# Every neuron is in the database, not only the H-Neurons. Which layers did tuning change most? `provenance db schema`
# describes the tables.

# %%
provenance.open(DATABASE).query(
    f"SELECT layer, COUNT(*) AS neurons, AVG(cosine_distance_down) AS mean_cosine_distance_down "
    f"FROM neuron WHERE run_id = {run.id} GROUP BY layer"
).round(5)
