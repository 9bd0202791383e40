-- A database as schema 0004 wrote it: one small run with a forward pass, one without, one about lineage alone, one about a
-- timeline. Kept, never made again.
BEGIN TRANSACTION;
CREATE TABLE activity (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	layer INTEGER NOT NULL, 
	neuron_index INTEGER NOT NULL, 
	mean_faithful DOUBLE, 
	mean_hallucinated DOUBLE, 
	standardised_difference DOUBLE, 
	auroc DOUBLE, 
	PRIMARY KEY (run_id, stage, dataset, layer, neuron_index), 
	FOREIGN KEY(run_id) REFERENCES run (id)
)
 WITHOUT ROWID

;
INSERT INTO "activity" VALUES(1,'base','in-domain',0,0,1.51220858470017087415e-02,1.88966939609195687388e-02,-1.2609602800655341781e+00,NULL);
INSERT INTO "activity" VALUES(1,'base','in-domain',0,1,1.98915457024313249712e-02,1.73523477043716553569e-02,8.32894449360835231743e-01,1.22690660176073440545e-01);
INSERT INTO "activity" VALUES(1,'base','in-domain',0,2,2.01736389417959509351e-02,5.31977276991443641385e-03,1.20325895411649796962e+00,9.33768909956842696473e-01);
INSERT INTO "activity" VALUES(1,'base','in-domain',0,3,1.627819699534572076e-02,2.05783091354631297864e-02,6.37073235626183342894e-01,0.684050448075033);
INSERT INTO "activity" VALUES(1,'base','in-domain',1,0,1.35671276663117783278e-02,1.46472779515211710965e-02,5.58339961695143327524e-01,8.23781358392771667631e-01);
INSERT INTO "activity" VALUES(1,'base','in-domain',1,1,2.71118925262422323652e-02,1.49865785048359026476e-02,-3.77227515612273389677e+00,8.96801232263759851015e-01);
INSERT INTO "activity" VALUES(1,'base','in-domain',1,2,2.22584272564754805101e-02,1.67986879730481313e-02,2.60629749066939808699e-01,5.83320046923475943323e-01);
INSERT INTO "activity" VALUES(1,'base','in-domain',1,3,1.81271599021603224688e-02,2.36615085735564847913e-02,-2.54453166925435354805e-02,0.0402182209046007);
CREATE TABLE activity_set (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	n_faithful INTEGER NOT NULL, 
	n_hallucinated INTEGER NOT NULL, 
	PRIMARY KEY (run_id, stage, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "activity_set" VALUES(1,'base','in-domain',200,180);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE alignment (
	run_id INTEGER NOT NULL, 
	method VARCHAR NOT NULL, 
	n_neurons INTEGER NOT NULL, 
	n_unmapped INTEGER NOT NULL, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "alignment" VALUES(1,'index',8,0,'');
INSERT INTO "alignment" VALUES(2,'index',8,0,'');
CREATE TABLE capture (
	task_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	file VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	question_ids JSON NOT NULL, 
	written_utc VARCHAR NOT NULL, 
	PRIMARY KEY (task_id, position), 
	FOREIGN KEY(task_id) REFERENCES task (id)
);
CREATE TABLE cell (
	run_id INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	activations VARCHAR NOT NULL, 
	answers VARCHAR NOT NULL, 
	prompt VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	n_faithful INTEGER NOT NULL, 
	n_hallucinated INTEGER NOT NULL, 
	n_dropped INTEGER NOT NULL, 
	random_p95 DOUBLE, 
	layer_matched_p95 DOUBLE, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, dataset, activations, answers, prompt), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "cell" VALUES(1,'in-domain','base','base','base',0,0.9,0.87,0.93,200,180,0,0.64,0.66,'');
INSERT INTO "cell" VALUES(1,'in-domain','base','instruct','base',1,0.83,7.99999999999999933386e-01,0.86,200,180,1,0.64,0.66,'');
INSERT INTO "cell" VALUES(1,'in-domain','instruct','base','instruct',2,0.8,0.77,8.30000000000000071054e-01,200,180,2,0.64,0.66,'');
INSERT INTO "cell" VALUES(1,'in-domain','instruct','instruct','instruct',3,0.88,0.85,0.91,200,180,3,0.64,0.66,'');
INSERT INTO "cell" VALUES(1,'in-domain','instruct','instruct','base',4,0.79,0.76,8.20000000000000062172e-01,150,140,7,0.63,NULL,'');
INSERT INTO "cell" VALUES(1,'in-domain','instruct','base','base',5,NULL,NULL,NULL,150,0,180,NULL,NULL,'no hallucinated answers left');
CREATE TABLE checkpoint (
	id INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	ref VARCHAR NOT NULL, 
	model_type VARCHAR NOT NULL, 
	layers INTEGER NOT NULL, 
	neurons_per_layer INTEGER NOT NULL, 
	hidden_size INTEGER NOT NULL, 
	dtype VARCHAR NOT NULL, 
	commit_sha VARCHAR, 
	added_utc VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "checkpoint" VALUES(1,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','org/base','llama',4,16,8,'float32',NULL,'2026-11-24T18:33:26Z');
INSERT INTO "checkpoint" VALUES(2,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','org/instruct@0123abc','llama',4,16,8,'bfloat16','0123abc','2026-11-24T18:33:27Z');
CREATE TABLE claim (
	run_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	verdict VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	words VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "claim" VALUES(1,'transfer',0,'supported','in-domain','What transfer says.');
INSERT INTO "claim" VALUES(1,'beyond_confidence',1,'not distinguishable','in-domain','What beyond_confidence says.');
INSERT INTO "claim" VALUES(1,'drift',2,'supported','','What drift says.');
INSERT INTO "claim" VALUES(1,'overlap',3,'no power','','What overlap says.');
INSERT INTO "claim" VALUES(1,'function_base',4,'no power','','What function_base says.');
INSERT INTO "claim" VALUES(1,'function_instruct',5,'supported','','What function_instruct says.');
CREATE TABLE claim_reason (
	run_id INTEGER NOT NULL, 
	claim VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	code VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	value DOUBLE, 
	relation VARCHAR NOT NULL, 
	bar DOUBLE, 
	holds BOOLEAN, 
	role VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, claim, position), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "claim_reason" VALUES(1,'transfer',0,'transfer.chance','in-domain',0.001,'<',0.05,1,'shown');
INSERT INTO "claim_reason" VALUES(1,'transfer',1,'transfer.gain.question_text','in-domain',0.2,'>',0.0,1,'shown');
INSERT INTO "claim_reason" VALUES(1,'transfer',2,'transfer.gain.answer_text','in-domain',NULL,'>',0.0,NULL,'shown');
INSERT INTO "claim_reason" VALUES(1,'beyond_confidence',0,'transfer.gain.all_together','in-domain',-0.01,'>',0.0,0,'shown');
INSERT INTO "claim_reason" VALUES(1,'drift',0,'drift.delta.layer','',0.02,'<',0.05,1,'shown');
INSERT INTO "claim_reason" VALUES(1,'overlap',0,'overlap.p_zero','',0.75,'<',0.5,0,'power');
INSERT INTO "claim_reason" VALUES(1,'function_instruct',0,'function.selectivity','in-domain',NULL,'>=',0.0,NULL,'shown');
CREATE TABLE dataset (
	id INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	n_questions INTEGER NOT NULL, 
	added_utc VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "dataset" VALUES(1,'digest of in-domain','in-domain','in-domain.jsonl',3,'2026-11-24T18:33:26Z');
INSERT INTO "dataset" VALUES(2,'digest of other-domain','other-domain','other-domain.jsonl',3,'2026-11-24T18:33:26Z');
CREATE TABLE drift (
	run_id INTEGER NOT NULL, 
	k INTEGER NOT NULL, 
	mean_stability_rank DOUBLE, 
	effect DOUBLE, 
	p_t DOUBLE, 
	p_permutation DOUBLE, 
	uniform_sd DOUBLE, 
	smallest_detectable DOUBLE, 
	share_identical DOUBLE, 
	rounding_floor DOUBLE, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "drift" VALUES(1,2,3.57142857142857095276e-01,-1.58103866920242475124e-01,0.012,7.8606965174129350693e-01,2.0412414523193153637e-01,0.7,0.1,1.0e-06,'not distinguishable','mean rank 0.357 against 0.515');
INSERT INTO "drift" VALUES(2,2,6.42857142857142793701e-01,1.40699217222568284668e-01,0.012,2.68656716417910446104e-01,2.0412414523193153637e-01,0.7,0.1,1.0e-06,'not distinguishable','mean rank 0.643 against 0.502');
CREATE TABLE drift_test (
	run_id INTEGER NOT NULL, 
	side VARCHAR NOT NULL, 
	measure VARCHAR NOT NULL, 
	matching VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	bins INTEGER NOT NULL, 
	k INTEGER NOT NULL, 
	mean_rank DOUBLE, 
	null_mean DOUBLE, 
	null_sd DOUBLE, 
	effect DOUBLE, 
	effect_low DOUBLE, 
	effect_high DOUBLE, 
	p_more_stable DOUBLE, 
	p_less_stable DOUBLE, 
	smallest_detectable DOUBLE, 
	z_all DOUBLE, 
	z_layer DOUBLE, 
	PRIMARY KEY (run_id, side, measure, matching), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "drift_test" VALUES(1,'hallucinated','delta','layer',0,1,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','delta','layer_norm',1,10,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','delta','layer_norm_activity',2,5,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','gate','layer',3,1,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','gate','layer_norm',4,10,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','gate','layer_norm_activity',5,5,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','norm','layer',6,1,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','norm','layer_norm',7,10,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','norm','layer_norm_activity',8,5,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'hallucinated','functional','layer',9,1,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(1,'hallucinated','functional','layer_norm',10,10,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(1,'hallucinated','functional','layer_norm_activity',11,5,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(1,'faithful','delta','layer',12,1,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','delta','layer_norm',13,10,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','delta','layer_norm_activity',14,5,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','gate','layer',15,1,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','gate','layer_norm',16,10,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','gate','layer_norm_activity',17,5,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','norm','layer',18,1,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','norm','layer_norm',19,10,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','norm','layer_norm_activity',20,5,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(1,'faithful','functional','layer',21,1,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
INSERT INTO "drift_test" VALUES(1,'faithful','functional','layer_norm',22,10,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
INSERT INTO "drift_test" VALUES(1,'faithful','functional','layer_norm_activity',23,5,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'hallucinated','delta','layer',0,1,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','delta','layer_norm',1,10,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','delta','layer_norm_activity',2,5,2,0.7,0.52,2.12132034355964227412e-01,0.18,0.06,0.3,0.02,0.98,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','gate','layer',3,1,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','gate','layer_norm',4,10,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','gate','layer_norm_activity',5,5,2,6.79999999999999937827e-01,0.53,2.12132034355964227412e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','norm','layer',6,1,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','norm','layer_norm',7,10,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','norm','layer_norm_activity',8,5,2,6.59999999999999920063e-01,0.54,2.12132034355964227412e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,0.74,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'hallucinated','functional','layer',9,1,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'hallucinated','functional','layer_norm',10,10,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'hallucinated','functional','layer_norm_activity',11,5,2,6.399999999999999023e-01,0.55,2.12132034355964227412e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,0.74,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'faithful','delta','layer',12,1,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','delta','layer_norm',13,10,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','delta','layer_norm_activity',14,5,3,0.7,0.52,1.73205080756887730419e-01,0.18,0.06,0.3,0.02,0.98,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','gate','layer',15,1,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','gate','layer_norm',16,10,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','gate','layer_norm_activity',17,5,3,6.79999999999999937827e-01,0.53,1.73205080756887730419e-01,0.15,0.03,0.27,0.07,9.29999999999999937827e-01,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','norm','layer',18,1,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','norm','layer_norm',19,10,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','norm','layer_norm_activity',20,5,3,6.59999999999999920063e-01,0.54,1.73205080756887730419e-01,0.12,0.0,0.24,1.20000000000000009436e-01,0.88,NULL,-0.4,-0.3);
INSERT INTO "drift_test" VALUES(2,'faithful','functional','layer',21,1,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'faithful','functional','layer_norm',22,10,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
INSERT INTO "drift_test" VALUES(2,'faithful','functional','layer_norm_activity',23,5,3,6.399999999999999023e-01,0.55,1.73205080756887730419e-01,0.09,-0.03,0.21,1.69999999999999984456e-01,0.83,NULL,-0.4,NULL);
CREATE TABLE family (
	id INTEGER NOT NULL, 
	base_id INTEGER NOT NULL, 
	instruct_id INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT family_pair UNIQUE (base_id, instruct_id), 
	FOREIGN KEY(base_id) REFERENCES checkpoint (id), 
	FOREIGN KEY(instruct_id) REFERENCES checkpoint (id)
);
INSERT INTO "family" VALUES(1,1,2);
CREATE TABLE funnel (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	asked INTEGER NOT NULL, 
	answered INTEGER NOT NULL, 
	consistent_faithful INTEGER NOT NULL, 
	consistent_hallucinated INTEGER NOT NULL, 
	span_found_faithful INTEGER NOT NULL, 
	span_found_hallucinated INTEGER NOT NULL, 
	captured_faithful INTEGER NOT NULL, 
	captured_hallucinated INTEGER NOT NULL, 
	fitted_faithful INTEGER NOT NULL, 
	fitted_hallucinated INTEGER NOT NULL, 
	PRIMARY KEY (run_id, stage, dataset, split), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "funnel" VALUES(1,'instruct','in-domain','train',0,700,690,200,180,200,180,200,180,180,180);
INSERT INTO "funnel" VALUES(1,'base','in-domain','test',1,700,690,200,180,200,180,200,180,180,180);
INSERT INTO "funnel" VALUES(1,'base','other-domain','test',2,700,690,200,180,200,180,200,180,180,180);
INSERT INTO "funnel" VALUES(1,'instruct','in-domain','test',3,700,690,200,180,200,180,200,180,180,180);
INSERT INTO "funnel" VALUES(1,'instruct','other-domain','test',4,700,690,200,180,200,180,200,180,180,180);
CREATE TABLE funnel_drop (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	n_questions INTEGER NOT NULL, 
	PRIMARY KEY (run_id, stage, dataset, split, reason), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "funnel_drop" VALUES(1,'instruct','in-domain','train','refusal',12);
INSERT INTO "funnel_drop" VALUES(1,'instruct','in-domain','train','disagreement',298);
INSERT INTO "funnel_drop" VALUES(1,'base','in-domain','test','refusal',12);
INSERT INTO "funnel_drop" VALUES(1,'base','in-domain','test','disagreement',298);
INSERT INTO "funnel_drop" VALUES(1,'base','other-domain','test','refusal',12);
INSERT INTO "funnel_drop" VALUES(1,'base','other-domain','test','disagreement',298);
INSERT INTO "funnel_drop" VALUES(1,'instruct','in-domain','test','refusal',12);
INSERT INTO "funnel_drop" VALUES(1,'instruct','in-domain','test','disagreement',298);
INSERT INTO "funnel_drop" VALUES(1,'instruct','other-domain','test','refusal',12);
INSERT INTO "funnel_drop" VALUES(1,'instruct','other-domain','test','disagreement',298);
CREATE TABLE held_out (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	accuracy DOUBLE, 
	accuracy_low DOUBLE, 
	accuracy_high DOUBLE, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	random_accuracy DOUBLE, 
	random_accuracy_low DOUBLE, 
	random_accuracy_high DOUBLE, 
	n_faithful INTEGER NOT NULL, 
	n_hallucinated INTEGER NOT NULL, 
	PRIMARY KEY (run_id, stage, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "held_out" VALUES(1,'instruct','in-domain',0,0.81,0.78,0.84,0.88,0.85,0.9,0.6,0.57,0.63,200,200);
INSERT INTO "held_out" VALUES(1,'instruct','other-domain',1,0.81,0.78,0.84,0.88,0.85,0.9,0.6,0.57,0.63,200,200);
INSERT INTO "held_out" VALUES(1,'base','in-domain',0,0.81,0.78,0.84,0.88,0.85,0.9,0.6,0.57,0.63,200,200);
INSERT INTO "held_out" VALUES(1,'base','other-domain',1,0.81,0.78,0.84,0.88,0.85,0.9,0.6,0.57,0.63,200,200);
INSERT INTO "held_out" VALUES(4,'instruct','in-domain',0,0.81,0.78,0.84,0.88,0.85,0.9,0.6,0.57,0.63,200,200);
CREATE TABLE intervention (
	run_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	alpha DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	k INTEGER NOT NULL, 
	effect DOUBLE, 
	effect_low DOUBLE, 
	effect_high DOUBLE, 
	effect_n INTEGER NOT NULL, 
	n_draws INTEGER NOT NULL, 
	p_value DOUBLE, 
	PRIMARY KEY (run_id, position), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "intervention" VALUES(1,0,'base',0.0,'h_neurons','faithful_log_probability',2,-0.02,-0.07,3.00000000000000023592e-02,120,0,NULL);
INSERT INTO "intervention" VALUES(1,1,'base',0.0,'h_neurons','hallucinated_log_probability',2,-0.3,-0.35,-0.25,120,0,NULL);
INSERT INTO "intervention" VALUES(1,2,'base',0.0,'h_neurons','selectivity',2,-0.28,-0.33,-2.30000000000000037747e-01,120,0,NULL);
INSERT INTO "intervention" VALUES(1,3,'base',0.0,'h_neurons','correct',2,NULL,NULL,NULL,120,0,NULL);
INSERT INTO "intervention" VALUES(1,4,'base',0.0,'random','faithful_log_probability',2,-0.002,-5.20000000000000045519e-02,0.048,4,4,0.05);
INSERT INTO "intervention" VALUES(1,5,'base',0.0,'random','hallucinated_log_probability',2,-0.03,-0.08,2.00000000000000038857e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,6,'base',0.0,'random','selectivity',2,-2.80000000000000040523e-02,-7.80000000000000137667e-02,0.022,4,4,0.05);
INSERT INTO "intervention" VALUES(1,7,'base',0.0,'random','correct',2,NULL,NULL,NULL,4,4,0.05);
INSERT INTO "intervention" VALUES(1,8,'base',0.0,'layer_matched','faithful_log_probability',2,-0.004,-5.40000000000000063282e-02,0.046,3,3,0.05);
INSERT INTO "intervention" VALUES(1,9,'base',0.0,'layer_matched','hallucinated_log_probability',2,-0.06,-0.11,-9.99999999999999500399e-03,3,3,0.05);
INSERT INTO "intervention" VALUES(1,10,'base',0.0,'layer_matched','selectivity',2,-5.60000000000000081046e-02,-1.0600000000000001088e-01,-6.00000000000000532907e-03,3,3,0.05);
INSERT INTO "intervention" VALUES(1,11,'base',0.0,'layer_matched','correct',2,NULL,NULL,NULL,3,3,0.05);
INSERT INTO "intervention" VALUES(1,12,'base',2.0,'h_neurons','faithful_log_probability',2,0.02,-3.00000000000000023592e-02,0.07,120,0,NULL);
INSERT INTO "intervention" VALUES(1,13,'base',2.0,'h_neurons','hallucinated_log_probability',2,0.3,0.25,0.35,120,0,NULL);
INSERT INTO "intervention" VALUES(1,14,'base',2.0,'h_neurons','selectivity',2,0.28,2.30000000000000037747e-01,0.33,120,0,NULL);
INSERT INTO "intervention" VALUES(1,15,'base',2.0,'h_neurons','correct',2,NULL,NULL,NULL,120,0,NULL);
INSERT INTO "intervention" VALUES(1,16,'base',2.0,'random','faithful_log_probability',2,0.002,-0.048,5.20000000000000045519e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,17,'base',2.0,'random','hallucinated_log_probability',2,0.03,-2.00000000000000038857e-02,0.08,4,4,0.05);
INSERT INTO "intervention" VALUES(1,18,'base',2.0,'random','selectivity',2,2.80000000000000040523e-02,-0.022,7.80000000000000137667e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,19,'base',2.0,'random','correct',2,NULL,NULL,NULL,4,4,0.05);
INSERT INTO "intervention" VALUES(1,20,'base',2.0,'layer_matched','faithful_log_probability',2,0.004,-0.046,5.40000000000000063282e-02,3,3,0.05);
INSERT INTO "intervention" VALUES(1,21,'base',2.0,'layer_matched','hallucinated_log_probability',2,0.06,9.99999999999999500399e-03,0.11,3,3,0.05);
INSERT INTO "intervention" VALUES(1,22,'base',2.0,'layer_matched','selectivity',2,5.60000000000000081046e-02,6.00000000000000532907e-03,1.0600000000000001088e-01,3,3,0.05);
INSERT INTO "intervention" VALUES(1,23,'base',2.0,'layer_matched','correct',2,NULL,NULL,NULL,3,3,0.05);
INSERT INTO "intervention" VALUES(1,24,'instruct',0.0,'h_neurons','faithful_log_probability',2,-0.02,-0.07,3.00000000000000023592e-02,120,0,NULL);
INSERT INTO "intervention" VALUES(1,25,'instruct',0.0,'h_neurons','hallucinated_log_probability',2,-0.3,-0.35,-0.25,120,0,NULL);
INSERT INTO "intervention" VALUES(1,26,'instruct',0.0,'h_neurons','selectivity',2,-0.28,-0.33,-2.30000000000000037747e-01,120,0,NULL);
INSERT INTO "intervention" VALUES(1,27,'instruct',0.0,'h_neurons','correct',2,0.01,-0.04,6.00000000000000047184e-02,120,0,NULL);
INSERT INTO "intervention" VALUES(1,28,'instruct',0.0,'random','faithful_log_probability',2,-0.002,-5.20000000000000045519e-02,0.048,4,4,0.05);
INSERT INTO "intervention" VALUES(1,29,'instruct',0.0,'random','hallucinated_log_probability',2,-0.03,-0.08,2.00000000000000038857e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,30,'instruct',0.0,'random','selectivity',2,-2.80000000000000040523e-02,-7.80000000000000137667e-02,0.022,4,4,0.05);
INSERT INTO "intervention" VALUES(1,31,'instruct',0.0,'random','correct',2,0.001,-0.049,5.10000000000000036637e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,32,'instruct',0.0,'layer_matched','faithful_log_probability',2,-0.004,-5.40000000000000063282e-02,0.046,3,3,0.05);
INSERT INTO "intervention" VALUES(1,33,'instruct',0.0,'layer_matched','hallucinated_log_probability',2,-0.06,-0.11,-9.99999999999999500399e-03,3,3,0.05);
INSERT INTO "intervention" VALUES(1,34,'instruct',0.0,'layer_matched','selectivity',2,-5.60000000000000081046e-02,-1.0600000000000001088e-01,-6.00000000000000532907e-03,3,3,0.05);
INSERT INTO "intervention" VALUES(1,35,'instruct',0.0,'layer_matched','correct',2,0.002,-0.048,5.20000000000000045519e-02,3,3,0.05);
INSERT INTO "intervention" VALUES(1,36,'instruct',2.0,'h_neurons','faithful_log_probability',2,0.02,-3.00000000000000023592e-02,0.07,120,0,NULL);
INSERT INTO "intervention" VALUES(1,37,'instruct',2.0,'h_neurons','hallucinated_log_probability',2,0.3,0.25,0.35,120,0,NULL);
INSERT INTO "intervention" VALUES(1,38,'instruct',2.0,'h_neurons','selectivity',2,0.28,2.30000000000000037747e-01,0.33,120,0,NULL);
INSERT INTO "intervention" VALUES(1,39,'instruct',2.0,'h_neurons','correct',2,-0.01,-6.00000000000000047184e-02,0.04,120,0,NULL);
INSERT INTO "intervention" VALUES(1,40,'instruct',2.0,'random','faithful_log_probability',2,0.002,-0.048,5.20000000000000045519e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,41,'instruct',2.0,'random','hallucinated_log_probability',2,0.03,-2.00000000000000038857e-02,0.08,4,4,0.05);
INSERT INTO "intervention" VALUES(1,42,'instruct',2.0,'random','selectivity',2,2.80000000000000040523e-02,-0.022,7.80000000000000137667e-02,4,4,0.05);
INSERT INTO "intervention" VALUES(1,43,'instruct',2.0,'random','correct',2,-0.001,-5.10000000000000036637e-02,0.049,4,4,0.05);
INSERT INTO "intervention" VALUES(1,44,'instruct',2.0,'layer_matched','faithful_log_probability',2,0.004,-0.046,5.40000000000000063282e-02,3,3,0.05);
INSERT INTO "intervention" VALUES(1,45,'instruct',2.0,'layer_matched','hallucinated_log_probability',2,0.06,9.99999999999999500399e-03,0.11,3,3,0.05);
INSERT INTO "intervention" VALUES(1,46,'instruct',2.0,'layer_matched','selectivity',2,5.60000000000000081046e-02,6.00000000000000532907e-03,1.0600000000000001088e-01,3,3,0.05);
INSERT INTO "intervention" VALUES(1,47,'instruct',2.0,'layer_matched','correct',2,-0.002,-5.20000000000000045519e-02,0.048,3,3,0.05);
CREATE TABLE label_agreement (
	run_id INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	n_common INTEGER NOT NULL, 
	n_agree INTEGER NOT NULL, 
	kappa DOUBLE, 
	kappa_low DOUBLE, 
	kappa_high DOUBLE, 
	auroc_agree DOUBLE, 
	auroc_agree_low DOUBLE, 
	auroc_agree_high DOUBLE, 
	auroc_agree_n INTEGER, 
	auroc_disagree DOUBLE, 
	auroc_disagree_low DOUBLE, 
	auroc_disagree_high DOUBLE, 
	auroc_disagree_n INTEGER, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "label_agreement" VALUES(1,'in-domain',0,300,240,0.58,4.99999999999999944488e-01,6.59999999999999920063e-01,0.93,0.91,9.50000000000000066613e-01,240,0.61,0.51,0.71,60,'');
INSERT INTO "label_agreement" VALUES(1,'other-domain',1,300,240,0.58,4.99999999999999944488e-01,6.59999999999999920063e-01,0.93,0.91,9.50000000000000066613e-01,240,NULL,NULL,NULL,NULL,'all disagreeing questions are faithful in the base');
CREATE TABLE ladder (
	run_id INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	auroc_n INTEGER, 
	gain DOUBLE, 
	gain_low DOUBLE, 
	gain_high DOUBLE, 
	gain_n INTEGER, 
	gain_sd DOUBLE, 
	p_value DOUBLE, 
	p_holm DOUBLE, 
	draws INTEGER NOT NULL, 
	PRIMARY KEY (run_id, dataset, kind), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "ladder" VALUES(1,'in-domain','random',0,0.55,0.51,5.90000000000000079936e-01,380,0.32,0.27,0.37,380,0.025,0.001,0.002,40);
INSERT INTO "ladder" VALUES(1,'in-domain','layer_matched',1,5.8333333333333337034e-01,5.43333333333333334813e-01,6.23333333333333405867e-01,380,0.27,2.20000000000000028865e-01,0.32,380,0.025,0.002,0.004,40);
INSERT INTO "ladder" VALUES(1,'in-domain','answer_length',2,6.16666666666666696272e-01,5.76666666666666660745e-01,6.56666666666666731799e-01,380,0.22,1.69999999999999984456e-01,0.27,380,0.025,0.003,0.006,0);
INSERT INTO "ladder" VALUES(1,'in-domain','question_text',3,0.65,0.61,6.90000000000000057731e-01,380,0.17,1.20000000000000009436e-01,2.20000000000000028865e-01,380,0.025,0.004,0.008,0);
INSERT INTO "ladder" VALUES(1,'in-domain','answer_text',4,6.83333333333333348136e-01,6.43333333333333312609e-01,7.23333333333333383663e-01,380,0.12,6.99999999999999927835e-02,1.69999999999999984456e-01,380,0.025,0.005,0.01,0);
INSERT INTO "ladder" VALUES(1,'in-domain','answer_log_probability',5,7.16666666666666674068e-01,6.76666666666666638541e-01,7.56666666666666709595e-01,380,0.07,2.00000000000000038857e-02,1.20000000000000009436e-01,380,0.025,0.006,0.012,0);
INSERT INTO "ladder" VALUES(1,'in-domain','all_together',6,0.75,0.71,0.79,380,2.00000000000000177635e-02,-2.99999999999999850119e-02,7.00000000000000205391e-02,380,0.025,0.007,0.014,0);
INSERT INTO "ladder" VALUES(1,'other-domain','random',7,6.00000000000000088817e-01,0.56,6.40000000000000124344e-01,380,0.07,2.00000000000000038857e-02,1.20000000000000009436e-01,380,0.025,0.201,0.202,40);
INSERT INTO "ladder" VALUES(1,'other-domain','layer_matched',8,6.33333333333333414749e-01,5.93333333333333379222e-01,6.73333333333333450276e-01,380,2.00000000000000177635e-02,-2.99999999999999850119e-02,7.00000000000000205391e-02,380,0.025,0.202,2.04000000000000014654e-01,40);
INSERT INTO "ladder" VALUES(1,'other-domain','answer_length',9,6.66666666666666740681e-01,6.26666666666666705154e-01,7.06666666666666776208e-01,380,-0.03,-0.08,2.00000000000000038857e-02,380,0.025,0.203,2.06000000000000016431e-01,0);
INSERT INTO "ladder" VALUES(1,'other-domain','question_text',10,7.00000000000000066613e-01,0.66,7.4000000000000010214e-01,380,-7.99999999999999877875e-02,-0.13,-2.99999999999999850119e-02,380,0.025,2.04000000000000014654e-01,2.08000000000000018207e-01,0);
INSERT INTO "ladder" VALUES(1,'other-domain','answer_text',11,7.33333333333333392545e-01,6.93333333333333357018e-01,7.73333333333333428072e-01,380,-0.13,-0.18,-0.08,380,0.025,2.05000000000000015543e-01,2.10000000000000019984e-01,0);
INSERT INTO "ladder" VALUES(1,'other-domain','answer_log_probability',12,7.66666666666666718477e-01,7.26666666666666682949e-01,8.06666666666666754004e-01,380,-0.18,-2.29999999999999982236e-01,-0.13,380,0.025,2.06000000000000016431e-01,2.1200000000000002176e-01,0);
INSERT INTO "ladder" VALUES(1,'other-domain','all_together',13,0.8,0.76,8.40000000000000079936e-01,380,-2.29999999999999982236e-01,-2.79999999999999971134e-01,-0.18,380,0.025,2.07000000000000017319e-01,2.14000000000000023536e-01,0);
CREATE TABLE lineage (
	run_id INTEGER NOT NULL, 
	verdict VARCHAR NOT NULL, 
	share_identical_tensors DOUBLE, 
	tensors_compared INTEGER NOT NULL, 
	only_base JSON NOT NULL, 
	only_instruct JSON NOT NULL, 
	median_cosine_gate DOUBLE, 
	median_cosine_up DOUBLE, 
	median_cosine_down DOUBLE, 
	self_match DOUBLE, 
	nearest_cosine DOUBLE, 
	neurons_sampled INTEGER NOT NULL, 
	same_tokenizer BOOLEAN NOT NULL, 
	vocabulary_shared DOUBLE, reason VARCHAR, found_in_base DOUBLE, found_in_instruct DOUBLE, vocabulary_base INTEGER, vocabulary_instruct INTEGER, layer_of JSON, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "lineage" VALUES(1,'descendant',0.25,38,'[]','["lm_head.weight"]',0.9991,0.9992,0.9993,1.0,0.9992,64,0,0.996,'100 % of 64 sampled neurons are found at their own index',1.0,0.98,299,300,'[0, 1]');
INSERT INTO "lineage" VALUES(2,'descendant',0.25,38,'[]','["lm_head.weight"]',0.9991,0.9992,0.9993,1.0,0.9992,64,0,0.996,'100 % of 64 sampled neurons are found at their own index',1.0,0.98,299,300,'[0, 1]');
INSERT INTO "lineage" VALUES(3,'descendant',0.25,38,'[]','["lm_head.weight"]',0.9991,0.9992,0.9993,1.0,0.9992,64,0,0.996,'100 % of 64 sampled neurons are found at their own index',1.0,0.98,299,300,'[0, 1, 2, 3]');
CREATE TABLE lineage_config (
	run_id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	base VARCHAR, 
	instruct VARCHAR, 
	PRIMARY KEY (run_id, "key"), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "lineage_config" VALUES(1,'eos_token_id','1','[1, 106]');
INSERT INTO "lineage_config" VALUES(1,'rope_scaling.factor',NULL,'8.0');
INSERT INTO "lineage_config" VALUES(1,'use_cache','true',NULL);
INSERT INTO "lineage_config" VALUES(2,'eos_token_id','1','[1, 106]');
INSERT INTO "lineage_config" VALUES(2,'rope_scaling.factor',NULL,'8.0');
INSERT INTO "lineage_config" VALUES(2,'use_cache','true',NULL);
INSERT INTO "lineage_config" VALUES(3,'eos_token_id','1','[1, 106]');
INSERT INTO "lineage_config" VALUES(3,'rope_scaling.factor',NULL,'8.0');
INSERT INTO "lineage_config" VALUES(3,'use_cache','true',NULL);
CREATE TABLE lineage_tensor (
	run_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	layer INTEGER, 
	n_rows INTEGER NOT NULL, 
	n_identical_rows INTEGER NOT NULL, 
	cosine_low DOUBLE, 
	cosine_median DOUBLE, 
	cosine_high DOUBLE, 
	PRIMARY KEY (run_id, position), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "lineage_tensor" VALUES(1,0,'gate',0,16,0,0.99988,0.99997,0.9999925);
INSERT INTO "lineage_tensor" VALUES(1,1,'gate',1,16,0,0.99976,0.99994,0.9999925);
INSERT INTO "lineage_tensor" VALUES(1,2,'up',0,16,0,0.99992,0.99998,0.999995);
INSERT INTO "lineage_tensor" VALUES(1,3,'up',1,16,0,0.99984,0.99996,0.999995);
INSERT INTO "lineage_tensor" VALUES(1,4,'down',0,16,0,0.99976,0.99994,0.999985);
INSERT INTO "lineage_tensor" VALUES(1,5,'down',1,16,0,0.99952,0.99988,0.999985);
INSERT INTO "lineage_tensor" VALUES(1,6,'self_attn.q_proj',0,16,0,0.99996,0.99999,0.9999975);
INSERT INTO "lineage_tensor" VALUES(1,7,'self_attn.q_proj',1,16,0,0.99992,0.99998,0.9999975);
INSERT INTO "lineage_tensor" VALUES(1,8,'self_attn.o_proj',0,16,0,0.999968,0.999992,0.999998);
INSERT INTO "lineage_tensor" VALUES(1,9,'self_attn.o_proj',1,16,0,0.999936,0.999984,0.999998);
INSERT INTO "lineage_tensor" VALUES(1,10,'input_layernorm',0,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(1,11,'input_layernorm',1,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(1,12,'embed_tokens',NULL,300,150,0.9997,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(1,13,'lm_head',NULL,1,0,NULL,NULL,NULL);
INSERT INTO "lineage_tensor" VALUES(2,0,'gate',0,16,0,0.99988,0.99997,0.9999925);
INSERT INTO "lineage_tensor" VALUES(2,1,'gate',1,16,0,0.99976,0.99994,0.9999925);
INSERT INTO "lineage_tensor" VALUES(2,2,'up',0,16,0,0.99992,0.99998,0.999995);
INSERT INTO "lineage_tensor" VALUES(2,3,'up',1,16,0,0.99984,0.99996,0.999995);
INSERT INTO "lineage_tensor" VALUES(2,4,'down',0,16,0,0.99976,0.99994,0.999985);
INSERT INTO "lineage_tensor" VALUES(2,5,'down',1,16,0,0.99952,0.99988,0.999985);
INSERT INTO "lineage_tensor" VALUES(2,6,'self_attn.q_proj',0,16,0,0.99996,0.99999,0.9999975);
INSERT INTO "lineage_tensor" VALUES(2,7,'self_attn.q_proj',1,16,0,0.99992,0.99998,0.9999975);
INSERT INTO "lineage_tensor" VALUES(2,8,'self_attn.o_proj',0,16,0,0.999968,0.999992,0.999998);
INSERT INTO "lineage_tensor" VALUES(2,9,'self_attn.o_proj',1,16,0,0.999936,0.999984,0.999998);
INSERT INTO "lineage_tensor" VALUES(2,10,'input_layernorm',0,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(2,11,'input_layernorm',1,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(2,12,'embed_tokens',NULL,300,150,0.9997,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(2,13,'lm_head',NULL,1,0,NULL,NULL,NULL);
INSERT INTO "lineage_tensor" VALUES(3,0,'gate',0,16,0,0.99988,0.99997,0.9999925);
INSERT INTO "lineage_tensor" VALUES(3,1,'gate',1,16,0,0.99976,0.99994,0.9999925);
INSERT INTO "lineage_tensor" VALUES(3,2,'gate',2,16,0,0.99964,0.99991,0.9999925);
INSERT INTO "lineage_tensor" VALUES(3,3,'gate',3,16,0,0.99952,0.99988,0.9999925);
INSERT INTO "lineage_tensor" VALUES(3,4,'up',0,16,0,0.99992,0.99998,0.999995);
INSERT INTO "lineage_tensor" VALUES(3,5,'up',1,16,0,0.99984,0.99996,0.999995);
INSERT INTO "lineage_tensor" VALUES(3,6,'up',2,16,0,0.99976,0.99994,0.999995);
INSERT INTO "lineage_tensor" VALUES(3,7,'up',3,16,0,0.99968,0.99992,0.999995);
INSERT INTO "lineage_tensor" VALUES(3,8,'down',0,16,0,0.99976,0.99994,0.999985);
INSERT INTO "lineage_tensor" VALUES(3,9,'down',1,16,0,0.99952,0.99988,0.999985);
INSERT INTO "lineage_tensor" VALUES(3,10,'down',2,16,0,0.99928,0.99982,0.999985);
INSERT INTO "lineage_tensor" VALUES(3,11,'down',3,16,0,0.99904,0.99976,0.999985);
INSERT INTO "lineage_tensor" VALUES(3,12,'self_attn.q_proj',0,16,0,0.99996,0.99999,0.9999975);
INSERT INTO "lineage_tensor" VALUES(3,13,'self_attn.q_proj',1,16,0,0.99992,0.99998,0.9999975);
INSERT INTO "lineage_tensor" VALUES(3,14,'self_attn.q_proj',2,16,0,0.99988,0.99997,0.9999975);
INSERT INTO "lineage_tensor" VALUES(3,15,'self_attn.q_proj',3,16,0,0.99984,0.99996,0.9999975);
INSERT INTO "lineage_tensor" VALUES(3,16,'self_attn.o_proj',0,16,0,0.999968,0.999992,0.999998);
INSERT INTO "lineage_tensor" VALUES(3,17,'self_attn.o_proj',1,16,0,0.999936,0.999984,0.999998);
INSERT INTO "lineage_tensor" VALUES(3,18,'self_attn.o_proj',2,16,0,0.999904,0.999976,0.999998);
INSERT INTO "lineage_tensor" VALUES(3,19,'self_attn.o_proj',3,16,0,0.999872,0.999968,0.999998);
INSERT INTO "lineage_tensor" VALUES(3,20,'input_layernorm',0,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(3,21,'input_layernorm',1,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(3,22,'input_layernorm',2,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(3,23,'input_layernorm',3,1,1,1.0,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(3,24,'embed_tokens',NULL,300,150,0.9997,1.0,1.0);
INSERT INTO "lineage_tensor" VALUES(3,25,'lm_head',NULL,1,0,NULL,NULL,NULL);
CREATE TABLE neuron (
	run_id INTEGER NOT NULL, 
	layer INTEGER NOT NULL, 
	neuron_index INTEGER NOT NULL, 
	delta_up DOUBLE, 
	delta_gate DOUBLE, 
	delta_down DOUBLE, 
	delta DOUBLE, 
	stability_rank DOUBLE, 
	norm_up_base DOUBLE, 
	norm_up_instruct DOUBLE, 
	norm_down_base DOUBLE, 
	norm_down_instruct DOUBLE, 
	identical BOOLEAN NOT NULL, 
	is_h_neuron BOOLEAN NOT NULL, 
	is_base_h_neuron BOOLEAN NOT NULL, 
	probe_weight DOUBLE, 
	base_probe_weight DOUBLE, 
	activation_correlation DOUBLE, base_layer INTEGER, base_index INTEGER, similarity DOUBLE, margin DOUBLE, 
	PRIMARY KEY (run_id, layer, neuron_index), 
	FOREIGN KEY(run_id) REFERENCES run (id)
)
 WITHOUT ROWID

;
INSERT INTO "neuron" VALUES(1,0,0,5.44258982857309908491e-04,7.03735235806992568026e-04,9.03470181651808579986e-04,1.25730221093393296216e-01,5.7142857142857139685e-01,1.59225009914477716455e-01,1.60817260013622481684e-01,1.25906553210412019971e+00,1.80163486986612508822e+00,0,0,0,0.0,0.0,9.25937956117128480038e-01,0,0,NULL,NULL);
INSERT INTO "neuron" VALUES(1,0,1,3.16300156369154540116e-04,1.26542147104605250465e-03,9.40122977608745714547e-05,-1.32104863291301888317e-01,8.57142857142857095276e-01,5.40845584685807678759e-01,5.46254040532665796625e-01,1.51392377473906258877e+00,1.31510376473437,0,0,0,0.0,0.0,5.69465839560098774363e-01,0,1,NULL,NULL);
INSERT INTO "neuron" VALUES(1,0,2,4.11630536374132840592e-04,6.23274462537352219593e-04,7.43499249353808439218e-04,6.40422650443282059917e-01,2.85714285714285698425e-01,2.14659122506340893643e-01,2.16805713731404309241e-01,1.34587542378230451411e+00,0.357380410658956,0,1,1,1.5,1.5,8.51892884633398850269e-01,0,2,0.999,0.7);
INSERT INTO "neuron" VALUES(1,0,3,1.04251336944267752535e-03,4.13259793472436e-05,9.21725376258419469739e-04,1.04900117153039706963e-01,7.14285714285714301574e-01,3.55372709039921408358e-01,3.58926436130320603012e-01,7.81311400700427483023e-01,1.20831863228217151196e+00,1,0,0,-0.5,-0.5,NULL,0,3,NULL,NULL);
INSERT INTO "neuron" VALUES(1,1,0,1.28534662944034276579e-04,2.32503077463883447983e-03,4.57725825667339158986e-04,-0.535669373161111,1.0,6.53828609418339423697e-01,6.60366895512522811273e-01,2.64455630329303525982e-01,4.45413312008322882784e-03,0,0,0,0.0,0.0,0.990914161435897,0,4,NULL,NULL);
INSERT INTO "neuron" VALUES(1,1,1,1.36646347054968585708e-03,2.18791663932545741091e-04,2.20195123470049412568e-04,3.61595054909484736604e-01,4.28571428571428547638e-01,1.29613633692769458782e-01,1.30909770029697142268e-01,3.13922814536427785547e-01,6.56474935076335808226e-01,0,1,0,1.5,0.0,9.21895281184363368787e-01,0,5,0.998,0.69);
INSERT INTO "neuron" VALUES(1,1,2,6.65194673486613511845e-04,1.24591094725306529567e-03,1.00961818353873596272e-03,1.30400004513013723084e+00,0.0,7.83975470061329504645e-01,7.91815224761942770825e-01,1.45802068353695868374e+00,1.28836146374955440307e+00,1,0,0,0.0,0.0,7.12053242722006429765e-01,0,6,NULL,NULL);
INSERT INTO "neuron" VALUES(1,1,3,3.5151007009301974077e-04,7.32267354703451602178e-04,2.09175574871713060428e-04,9.47080963129242170417e-01,1.42857142857142849212e-01,1.49343114522076070294e+00,1.50836545667296828554e+00,1.96025831644996473279e+00,3.95122060182008238982e-01,0,0,0,0.0,0.0,9.89844354254828306949e-01,0,7,NULL,NULL);
INSERT INTO "neuron" VALUES(2,0,0,1.47388794804195906971e-03,0.0016473390663561,4.36868325597281645204e-04,0.513052133880305,1.42857142857142849212e-01,1.08683078476836336712e+00,1.09769909261604703409e+00,0.663535198304047,4.71813154740902074291e-01,0,0,0,NULL,NULL,NULL,0,0,NULL,NULL);
INSERT INTO "neuron" VALUES(2,0,1,1.02885434780318300862e-03,9.17487983444294241154e-04,5.1984173097764120857e-04,-2.97584038943330353443e-01,7.14285714285714301574e-01,5.06040631113424052567e-02,5.11101037424558299337e-02,6.13417848614028149434e-01,1.37795095272252110518e+00,1,0,0,NULL,NULL,NULL,0,1,NULL,NULL);
INSERT INTO "neuron" VALUES(2,0,2,1.93495963660970699167e-03,1.06693486700517909011e-03,4.76579040558413756425e-04,-5.30008413218158391799e-01,8.57142857142857095276e-01,2.83125065679534715368e-01,2.85956316336330063077e-01,1.6051493968851135996e+00,1.35730734067134373166e-01,1,1,0,2.0,NULL,NULL,0,2,0.999,0.7);
INSERT INTO "neuron" VALUES(2,0,3,2.39936671258036054782e-04,4.76727312116796e-05,1.38897997483830842185e-03,-2.36154629852942027357e-01,5.7142857142857139685e-01,1.64325161424269694521e+00,1.65968413038512396795e+00,7.29349404017856639548e-01,2.31036348679588821042e+00,0,0,0,NULL,NULL,NULL,0,3,NULL,NULL);
INSERT INTO "neuron" VALUES(2,1,0,2.04522488399660833623e-04,9.16654788824595740531e-04,3.51455076187313865312e-04,1.81647594088114394672e+00,0.0,1.28264924407389835359e+00,1.2954757365146374326e+00,8.06139358515021942075e-01,7.8719274215715773213e-01,0,0,0,NULL,NULL,NULL,0,4,NULL,NULL);
INSERT INTO "neuron" VALUES(2,1,1,1.04286014098450472396e-03,3.70946835094410217424e-04,4.74332986834439249753e-04,-4.98009690596431936482e-02,4.28571428571428547638e-01,5.8565779984135934999e-01,5.91514377839772897971e-01,0.476376747401162,5.80284416724307527957e-01,0,1,0,0.5,NULL,NULL,0,5,0.998,0.69);
INSERT INTO "neuron" VALUES(2,1,2,6.13123136336579752786e-04,6.13189077859006229781e-04,1.94426497598554413707e-03,8.66192629885421255808e-02,2.85714285714285698425e-01,4.7258767675848406542e-01,4.7731355352606891218e-01,1.63339945541298631193e-01,1.95505827833102358015e-01,0,0,0,NULL,NULL,NULL,0,6,NULL,NULL);
INSERT INTO "neuron" VALUES(2,1,3,2.00329701409568351668e-04,1.52192958408290307309e-04,1.30775319690114755384e-03,-1.48707286967539809019e+00,1.0,5.86337281531300380521e-01,5.92200654346613397649e-01,1.29264612275934154261e+00,5.65817846828093107269e-01,0,0,0,NULL,NULL,NULL,0,7,NULL,NULL);
CREATE TABLE neuron_list (
	run_id INTEGER NOT NULL, 
	source VARCHAR NOT NULL, 
	n_neurons INTEGER NOT NULL, 
	n_weighted INTEGER NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "neuron_list" VALUES(2,'their_neurons.json (sha256 0a1b2c3d4e5f)',2,2);
CREATE TABLE neuron_set (
	id INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	checkpoint_id INTEGER NOT NULL, 
	source VARCHAR NOT NULL, 
	format VARCHAR NOT NULL, 
	named_checkpoint VARCHAR, 
	intercept DOUBLE, 
	n_neurons INTEGER NOT NULL, 
	n_positive INTEGER NOT NULL, 
	added_utc VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT neuron_set_of_checkpoint UNIQUE (digest, checkpoint_id), 
	FOREIGN KEY(checkpoint_id) REFERENCES checkpoint (id)
);
INSERT INTO "neuron_set" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'theirs.json','json','org/instruct',-0.25,3,1,'2026-11-24T15:00:00Z');
CREATE TABLE neuron_set_member (
	neuron_set_id INTEGER NOT NULL, 
	layer INTEGER NOT NULL, 
	neuron_index INTEGER NOT NULL, 
	weight DOUBLE, 
	PRIMARY KEY (neuron_set_id, layer, neuron_index), 
	FOREIGN KEY(neuron_set_id) REFERENCES neuron_set (id)
);
INSERT INTO "neuron_set_member" VALUES(1,0,2,-0.5);
INSERT INTO "neuron_set_member" VALUES(1,1,1,2.0);
INSERT INTO "neuron_set_member" VALUES(1,3,0,NULL);
CREATE TABLE null_draw (
	run_id INTEGER NOT NULL, 
	claim VARCHAR NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	draw INTEGER NOT NULL, 
	value DOUBLE, 
	PRIMARY KEY (run_id, claim, stage, dataset, kind, draw), 
	FOREIGN KEY(run_id) REFERENCES run (id)
)
 WITHOUT ROWID

;
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','layer_matched',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','layer_matched',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','layer_matched',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','random',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','random',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','base','in-domain','random',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','layer_matched',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','layer_matched',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','layer_matched',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','random',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','random',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','base','other-domain','random',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','layer_matched',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','layer_matched',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','layer_matched',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','random',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','random',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','in-domain','random',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','layer_matched',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','layer_matched',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','layer_matched',2,0.62);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','random',0,0.58);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','random',1,0.6);
INSERT INTO "null_draw" VALUES(1,'baseline','instruct','other-domain','random',2,0.62);
INSERT INTO "null_draw" VALUES(1,'drift','','','layer_matched',0,8.43225047883429112971e-01);
INSERT INTO "null_draw" VALUES(1,'drift','','','layer_matched',1,7.89517557885669907236e-01);
INSERT INTO "null_draw" VALUES(1,'drift','','','layer_matched',2,6.49282562764537773958e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','layer_matched',0,6.03147003514591162343e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','layer_matched',1,5.83929918805166647821e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','layer_matched',2,6.10847851647284501019e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','random',0,5.53771906632801846903e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','random',1,0.546036854101261);
INSERT INTO "null_draw" VALUES(1,'transfer','base','in-domain','random',2,5.69212679513298458466e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','layer_matched',0,5.62037355868618360155e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','layer_matched',1,5.81301766123879404268e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','layer_matched',2,6.01239779380417282972e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','random',0,5.89120001353904187979e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','random',1,5.78412428893877339497e-01);
INSERT INTO "null_draw" VALUES(1,'transfer','base','other-domain','random',2,5.28887942925790222048e-01);
INSERT INTO "null_draw" VALUES(2,'drift','','','layer_matched',0,7.24613690626237372249e-01);
INSERT INTO "null_draw" VALUES(2,'drift','','','layer_matched',1,4.88904006176579364328e-01);
INSERT INTO "null_draw" VALUES(2,'drift','','','layer_matched',2,4.23609324315949442585e-01);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','layer_matched',0,0.58);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','layer_matched',1,0.6);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','layer_matched',2,0.62);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','random',0,0.58);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','random',1,0.6);
INSERT INTO "null_draw" VALUES(4,'baseline','instruct','in-domain','random',2,0.62);
CREATE TABLE null_summary (
	run_id INTEGER NOT NULL, 
	claim VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	draws INTEGER NOT NULL, 
	mean DOUBLE, 
	low DOUBLE, 
	high DOUBLE, 
	p95 DOUBLE, 
	p_value DOUBLE, 
	PRIMARY KEY (run_id, claim, dataset, kind), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "null_summary" VALUES(1,'transfer','in-domain','random',3,5.56340480082453736621e-01,5.46423606727838073737e-01,5.68440640869273594582e-01,5.67668602225248841719e-01,0.25);
INSERT INTO "null_summary" VALUES(1,'transfer','in-domain','layer_matched',3,0.599308257989014,5.84890773040637856894e-01,6.10462809240649884046e-01,6.10077766834015156049e-01,0.25);
INSERT INTO "null_summary" VALUES(1,'transfer','other-domain','random',3,5.65473457724523842493e-01,5.31364167224194550165e-01,5.88584622730902840004e-01,5.88049244107901492029e-01,0.25);
INSERT INTO "null_summary" VALUES(1,'transfer','other-domain','layer_matched',3,5.81526300457638423146e-01,5.63000576381381456769e-01,6.00242878717590411241e-01,5.9924597805476353951e-01,0.25);
INSERT INTO "null_summary" VALUES(1,'drift','','layer_matched',3,5.152467240630995704e-01,1.07397349601291422493e-01,8.92837016202587707702e-01,8.55469048541723564582e-01,7.8606965174129350693e-01);
INSERT INTO "null_summary" VALUES(2,'drift','','layer_matched',3,5.02157925634574509032e-01,1.71933882475441918158e-01,0.934130500877651,0.844735712299631,2.68656716417910446104e-01);
CREATE TABLE overlap (
	run_id INTEGER NOT NULL, 
	k_base INTEGER NOT NULL, 
	k_instruct INTEGER NOT NULL, 
	shared INTEGER NOT NULL, 
	jaccard DOUBLE, 
	expected DOUBLE, 
	p_hypergeometric DOUBLE, 
	p_zero DOUBLE, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, ceiling_base DOUBLE, ceiling_instruct DOUBLE, ratio_base DOUBLE, ratio_instruct DOUBLE, cluster_jaccard DOUBLE, rank_biased DOUBLE, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "overlap" VALUES(1,1,2,1,0.5,0.25,0.001,0.8,'supported','shared by half',NULL,0.31,NULL,1.61290322580645173466e+00,0.6,0.55);
CREATE TABLE overlap_null (
	run_id INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	expected DOUBLE, 
	sd DOUBLE, 
	p_value DOUBLE, 
	p_zero DOUBLE, 
	smallest_detectable DOUBLE, 
	draws INTEGER NOT NULL, 
	PRIMARY KEY (run_id, kind), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "overlap_null" VALUES(1,'hypergeometric',0,0.28,0.5,0.001,0.75,2.5,0);
INSERT INTO "overlap_null" VALUES(1,'layer',1,0.31,0.52,0.002,0.72,2.6,0);
INSERT INTO "overlap_null" VALUES(1,'layer_norm',2,0.4,0.6,0.004,0.66,2.8,0);
INSERT INTO "overlap_null" VALUES(1,'layer_norm_activity',3,0.9,0.8,0.03,0.41,3.9,0);
INSERT INTO "overlap_null" VALUES(1,'shuffled_labels',4,1.2,NULL,0.12,0.35,NULL,50);
CREATE TABLE power (
	run_id INTEGER NOT NULL, 
	claim VARCHAR NOT NULL, 
	test VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	k INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	sd DOUBLE, 
	smallest_detectable DOUBLE, 
	unit VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, claim, test, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "power" VALUES(1,'transfer','chance','in-domain',0,2,380,0.03,0.57,'AUROC');
INSERT INTO "power" VALUES(1,'transfer','layer_matched','in-domain',1,2,380,0.03,0.62,'AUROC');
INSERT INTO "power" VALUES(1,'transfer','chance','other-domain',2,2,380,0.03,0.57,'AUROC');
INSERT INTO "power" VALUES(1,'transfer','layer_matched','other-domain',3,2,380,0.03,0.62,'AUROC');
INSERT INTO "power" VALUES(1,'drift','hallucinated.delta.layer','',4,2,0,0.12,0.8,'mean stability rank');
INSERT INTO "power" VALUES(1,'overlap','shuffled_labels','',5,2,0,0.5,NULL,'shared neurons');
CREATE TABLE probe (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	c DOUBLE, 
	alpha_max DOUBLE, 
	intercept DOUBLE, 
	intercept_penalised BOOLEAN NOT NULL, 
	design VARCHAR NOT NULL, 
	n_train_faithful INTEGER NOT NULL, 
	n_train_hallucinated INTEGER NOT NULL, 
	n_neurons INTEGER NOT NULL, 
	n_h_neurons INTEGER NOT NULL, 
	reason VARCHAR NOT NULL, rule VARCHAR, gap DOUBLE, violation DOUBLE, 
	PRIMARY KEY (run_id, stage), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe" VALUES(1,'instruct',1.0,0.01,-0.25,1,'3-vs-1',300,299,3,2,'','one-se',2.0e-09,3.0e-07);
INSERT INTO "probe" VALUES(1,'base',1.0,0.01,-0.25,1,'3-vs-1',300,299,2,1,'','one-se',2.0e-09,3.0e-07);
INSERT INTO "probe" VALUES(4,'instruct',1.0,0.01,-0.25,1,'3-vs-1',300,299,5,4,'','one-se',2.0e-09,3.0e-07);
CREATE TABLE probe_baseline (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	n_draws INTEGER NOT NULL, 
	accuracy DOUBLE, 
	accuracy_low DOUBLE, 
	accuracy_high DOUBLE, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	gain DOUBLE, 
	gain_low DOUBLE, 
	gain_high DOUBLE, 
	PRIMARY KEY (run_id, stage, dataset, kind), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','random',0,3,0.55,0.52,5.80000000000000071054e-01,0.6,0.57,0.63,0.28,2.40000000000000018873e-01,0.32);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','layer_matched',1,3,5.70000000000000062172e-01,0.54,6.00000000000000088817e-01,0.62,0.59,0.65,0.26,0.22,0.3);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','answer_length',2,0,5.90000000000000079936e-01,0.56,6.20000000000000106581e-01,0.64,0.61,0.67,2.40000000000000018873e-01,0.2,0.28);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','question_text',3,0,6.10000000000000097699e-01,5.80000000000000071054e-01,6.40000000000000124344e-01,6.59999999999999920063e-01,6.29999999999999893418e-01,0.69,2.20000000000000028865e-01,1.80000000000000021094e-01,0.26);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','answer_text',4,0,NULL,NULL,NULL,6.79999999999999937827e-01,6.49999999999999911182e-01,0.71,0.2,0.16,2.40000000000000018873e-01);
INSERT INTO "probe_baseline" VALUES(1,'instruct','in-domain','answer_log_probability',5,0,0.65,0.62,0.68,0.7,6.69999999999999928945e-01,0.73,1.80000000000000021094e-01,0.14,2.20000000000000028865e-01);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','random',0,3,0.55,0.52,5.80000000000000071054e-01,0.6,0.57,0.63,0.28,2.40000000000000018873e-01,0.32);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','layer_matched',1,3,5.70000000000000062172e-01,0.54,6.00000000000000088817e-01,0.62,0.59,0.65,0.26,0.22,0.3);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','answer_length',2,0,5.90000000000000079936e-01,0.56,6.20000000000000106581e-01,0.64,0.61,0.67,2.40000000000000018873e-01,0.2,0.28);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','question_text',3,0,6.10000000000000097699e-01,5.80000000000000071054e-01,6.40000000000000124344e-01,6.59999999999999920063e-01,6.29999999999999893418e-01,0.69,2.20000000000000028865e-01,1.80000000000000021094e-01,0.26);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','answer_text',4,0,NULL,NULL,NULL,6.79999999999999937827e-01,6.49999999999999911182e-01,0.71,0.2,0.16,2.40000000000000018873e-01);
INSERT INTO "probe_baseline" VALUES(1,'instruct','other-domain','answer_log_probability',5,0,0.65,0.62,0.68,0.7,6.69999999999999928945e-01,0.73,1.80000000000000021094e-01,0.14,2.20000000000000028865e-01);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','random',0,3,0.55,0.52,5.80000000000000071054e-01,0.6,0.57,0.63,0.28,2.40000000000000018873e-01,0.32);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','layer_matched',1,3,5.70000000000000062172e-01,0.54,6.00000000000000088817e-01,0.62,0.59,0.65,0.26,0.22,0.3);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','answer_length',2,0,5.90000000000000079936e-01,0.56,6.20000000000000106581e-01,0.64,0.61,0.67,2.40000000000000018873e-01,0.2,0.28);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','question_text',3,0,6.10000000000000097699e-01,5.80000000000000071054e-01,6.40000000000000124344e-01,6.59999999999999920063e-01,6.29999999999999893418e-01,0.69,2.20000000000000028865e-01,1.80000000000000021094e-01,0.26);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','answer_text',4,0,NULL,NULL,NULL,6.79999999999999937827e-01,6.49999999999999911182e-01,0.71,0.2,0.16,2.40000000000000018873e-01);
INSERT INTO "probe_baseline" VALUES(1,'base','in-domain','answer_log_probability',5,0,0.65,0.62,0.68,0.7,6.69999999999999928945e-01,0.73,1.80000000000000021094e-01,0.14,2.20000000000000028865e-01);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','random',0,3,0.55,0.52,5.80000000000000071054e-01,0.6,0.57,0.63,0.28,2.40000000000000018873e-01,0.32);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','layer_matched',1,3,5.70000000000000062172e-01,0.54,6.00000000000000088817e-01,0.62,0.59,0.65,0.26,0.22,0.3);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','answer_length',2,0,5.90000000000000079936e-01,0.56,6.20000000000000106581e-01,0.64,0.61,0.67,2.40000000000000018873e-01,0.2,0.28);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','question_text',3,0,6.10000000000000097699e-01,5.80000000000000071054e-01,6.40000000000000124344e-01,6.59999999999999920063e-01,6.29999999999999893418e-01,0.69,2.20000000000000028865e-01,1.80000000000000021094e-01,0.26);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','answer_text',4,0,NULL,NULL,NULL,6.79999999999999937827e-01,6.49999999999999911182e-01,0.71,0.2,0.16,2.40000000000000018873e-01);
INSERT INTO "probe_baseline" VALUES(1,'base','other-domain','answer_log_probability',5,0,0.65,0.62,0.68,0.7,6.69999999999999928945e-01,0.73,1.80000000000000021094e-01,0.14,2.20000000000000028865e-01);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','random',0,3,0.55,0.52,5.80000000000000071054e-01,0.6,0.57,0.63,0.28,2.40000000000000018873e-01,0.32);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','layer_matched',1,3,5.70000000000000062172e-01,0.54,6.00000000000000088817e-01,0.62,0.59,0.65,0.26,0.22,0.3);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','answer_length',2,0,5.90000000000000079936e-01,0.56,6.20000000000000106581e-01,0.64,0.61,0.67,2.40000000000000018873e-01,0.2,0.28);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','question_text',3,0,6.10000000000000097699e-01,5.80000000000000071054e-01,6.40000000000000124344e-01,6.59999999999999920063e-01,6.29999999999999893418e-01,0.69,2.20000000000000028865e-01,1.80000000000000021094e-01,0.26);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','answer_text',4,0,NULL,NULL,NULL,6.79999999999999937827e-01,6.49999999999999911182e-01,0.71,0.2,0.16,2.40000000000000018873e-01);
INSERT INTO "probe_baseline" VALUES(4,'instruct','in-domain','answer_log_probability',5,0,0.65,0.62,0.68,0.7,6.69999999999999928945e-01,0.73,1.80000000000000021094e-01,0.14,2.20000000000000028865e-01);
CREATE TABLE probe_curve (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	step INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	c DOUBLE NOT NULL, 
	n_positive INTEGER NOT NULL, 
	n_nonzero INTEGER NOT NULL, 
	is_chosen BOOLEAN NOT NULL, 
	accuracy DOUBLE, 
	accuracy_low DOUBLE, 
	accuracy_high DOUBLE, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	transfer DOUBLE, 
	transfer_low DOUBLE, 
	transfer_high DOUBLE, 
	PRIMARY KEY (run_id, stage, step, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe_curve" VALUES(1,'instruct',0,'in-domain',0,0.01,0,0,0,0.5,0.47,0.53,0.5,0.47,0.53,0.5,0.45,0.55);
INSERT INTO "probe_curve" VALUES(1,'instruct',0,'other-domain',1,0.01,0,0,0,0.5,0.47,0.53,0.5,0.47,0.53,0.5,0.45,0.55);
INSERT INTO "probe_curve" VALUES(1,'instruct',1,'in-domain',0,0.1,2,3,0,0.7,6.69999999999999928945e-01,0.73,0.77,0.74,0.8,6.49999999999999911182e-01,5.99999999999999866773e-01,0.7);
INSERT INTO "probe_curve" VALUES(1,'instruct',1,'other-domain',1,0.1,2,3,0,0.7,6.69999999999999928945e-01,0.73,0.77,0.74,0.8,6.49999999999999911182e-01,5.99999999999999866773e-01,0.7);
INSERT INTO "probe_curve" VALUES(1,'instruct',2,'in-domain',0,1.0,6,7,1,0.81,0.78,8.40000000000000079936e-01,8.80000000000000115463e-01,8.50000000000000088817e-01,9.10000000000000142108e-01,0.76,0.71,0.81);
INSERT INTO "probe_curve" VALUES(1,'instruct',2,'other-domain',1,1.0,6,7,1,0.81,0.78,8.40000000000000079936e-01,8.80000000000000115463e-01,8.50000000000000088817e-01,9.10000000000000142108e-01,0.76,0.71,0.81);
INSERT INTO "probe_curve" VALUES(1,'instruct',3,'in-domain',0,10.0,20,21,0,0.78,0.75,0.81,8.50000000000000088817e-01,8.20000000000000062172e-01,8.80000000000000115463e-01,0.73,6.79999999999999937827e-01,0.78);
INSERT INTO "probe_curve" VALUES(1,'instruct',3,'other-domain',1,10.0,20,21,0,0.78,0.75,0.81,8.50000000000000088817e-01,8.20000000000000062172e-01,8.80000000000000115463e-01,0.73,6.79999999999999937827e-01,0.78);
INSERT INTO "probe_curve" VALUES(1,'base',0,'in-domain',0,0.01,0,0,0,0.5,0.47,0.53,0.5,0.47,0.53,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',0,'other-domain',1,0.01,0,0,0,0.5,0.47,0.53,0.5,0.47,0.53,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',1,'in-domain',0,0.1,2,3,0,0.7,6.69999999999999928945e-01,0.73,0.77,0.74,0.8,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',1,'other-domain',1,0.1,2,3,0,0.7,6.69999999999999928945e-01,0.73,0.77,0.74,0.8,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',2,'in-domain',0,1.0,6,7,1,0.81,0.78,8.40000000000000079936e-01,8.80000000000000115463e-01,8.50000000000000088817e-01,9.10000000000000142108e-01,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',2,'other-domain',1,1.0,6,7,1,0.81,0.78,8.40000000000000079936e-01,8.80000000000000115463e-01,8.50000000000000088817e-01,9.10000000000000142108e-01,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',3,'in-domain',0,10.0,20,21,0,0.78,0.75,0.81,8.50000000000000088817e-01,8.20000000000000062172e-01,8.80000000000000115463e-01,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(1,'base',3,'other-domain',1,10.0,20,21,0,0.78,0.75,0.81,8.50000000000000088817e-01,8.20000000000000062172e-01,8.80000000000000115463e-01,NULL,NULL,NULL);
INSERT INTO "probe_curve" VALUES(4,'instruct',0,'in-domain',0,0.01,0,0,0,0.5,0.47,0.53,0.5,0.47,0.53,0.5,0.45,0.55);
INSERT INTO "probe_curve" VALUES(4,'instruct',1,'in-domain',0,0.1,2,3,0,0.7,6.69999999999999928945e-01,0.73,0.77,0.74,0.8,6.49999999999999911182e-01,5.99999999999999866773e-01,0.7);
INSERT INTO "probe_curve" VALUES(4,'instruct',2,'in-domain',0,1.0,6,7,1,0.81,0.78,8.40000000000000079936e-01,8.80000000000000115463e-01,8.50000000000000088817e-01,9.10000000000000142108e-01,0.76,0.71,0.81);
INSERT INTO "probe_curve" VALUES(4,'instruct',3,'in-domain',0,10.0,20,21,0,0.78,0.75,0.81,8.50000000000000088817e-01,8.20000000000000062172e-01,8.80000000000000115463e-01,0.73,6.79999999999999937827e-01,0.78);
CREATE TABLE probe_neuron (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	layer INTEGER NOT NULL, 
	neuron_index INTEGER NOT NULL, 
	weight DOUBLE, 
	is_h_neuron BOOLEAN NOT NULL, selection_frequency DOUBLE, auroc DOUBLE, cluster INTEGER, 
	PRIMARY KEY (run_id, stage, layer, neuron_index), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe_neuron" VALUES(1,'instruct',0,0,0.0,0,0.1,NULL,1);
INSERT INTO "probe_neuron" VALUES(1,'instruct',0,2,1.5,1,1.0,4.83333333333333337034e-01,2);
INSERT INTO "probe_neuron" VALUES(1,'instruct',0,3,-0.5,0,0.0,5.66666666666666651863e-01,3);
INSERT INTO "probe_neuron" VALUES(1,'instruct',1,1,1.5,1,0.2,7.33333333333333392545e-01,4);
INSERT INTO "probe_neuron" VALUES(1,'instruct',1,3,0.0,0,0.8,0.9,4);
INSERT INTO "probe_neuron" VALUES(1,'base',0,2,1.5,1,1.0,4.83333333333333337034e-01,1);
INSERT INTO "probe_neuron" VALUES(1,'base',0,3,-0.5,0,0.0,5.66666666666666651863e-01,2);
INSERT INTO "probe_neuron" VALUES(2,'instruct',0,2,2.0,1,NULL,NULL,NULL);
INSERT INTO "probe_neuron" VALUES(2,'instruct',1,1,0.5,1,NULL,NULL,NULL);
INSERT INTO "probe_neuron" VALUES(4,'instruct',0,0,0.0,0,0.1,NULL,1);
INSERT INTO "probe_neuron" VALUES(4,'instruct',0,1,1.5,1,1.0,0.4,2);
INSERT INTO "probe_neuron" VALUES(4,'instruct',0,2,-0.5,0,0.0,4.83333333333333337034e-01,3);
INSERT INTO "probe_neuron" VALUES(4,'instruct',0,3,1.5,1,0.9,5.66666666666666651863e-01,4);
INSERT INTO "probe_neuron" VALUES(4,'instruct',1,1,1.5,1,7.99999999999999933386e-01,7.33333333333333392545e-01,5);
INSERT INTO "probe_neuron" VALUES(4,'instruct',1,2,0.0,0,0.8,8.16666666666666651863e-01,7);
INSERT INTO "probe_neuron" VALUES(4,'instruct',1,3,1.5,1,0.2,0.9,7);
CREATE TABLE probe_path (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	step INTEGER NOT NULL, 
	c DOUBLE NOT NULL, 
	n_positive INTEGER NOT NULL, 
	n_nonzero INTEGER NOT NULL, 
	validation_accuracy DOUBLE, validation_auroc DOUBLE, suppressed_accuracy DOUBLE, gap DOUBLE, violation DOUBLE, 
	PRIMARY KEY (run_id, stage, step), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe_path" VALUES(1,'instruct',0,0.01,0,0,0.5,0.55,0.4,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'instruct',1,0.1,2,3,0.7,0.75,0.6,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'instruct',2,1.0,6,7,0.8,8.50000000000000088817e-01,7.00000000000000066613e-01,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'instruct',3,10.0,20,21,0.79,8.40000000000000079936e-01,6.90000000000000057731e-01,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'base',0,0.01,0,0,0.5,0.55,NULL,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'base',1,0.1,2,3,0.7,0.75,NULL,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'base',2,1.0,6,7,0.8,8.50000000000000088817e-01,NULL,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(1,'base',3,10.0,20,21,0.79,8.40000000000000079936e-01,NULL,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(4,'instruct',0,0.01,0,0,0.5,0.55,0.4,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(4,'instruct',1,0.1,2,3,0.7,0.75,0.6,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(4,'instruct',2,1.0,6,7,0.8,8.50000000000000088817e-01,7.00000000000000066613e-01,1.0e-09,3.0e-07);
INSERT INTO "probe_path" VALUES(4,'instruct',3,10.0,20,21,0.79,8.40000000000000079936e-01,6.90000000000000057731e-01,1.0e-09,3.0e-07);
CREATE TABLE probe_stability (
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	c DOUBLE NOT NULL, 
	n_half_samples INTEGER NOT NULL, 
	threshold DOUBLE NOT NULL, 
	n_stable INTEGER NOT NULL, 
	mean_selected DOUBLE NOT NULL, 
	false_bound DOUBLE, 
	split_half_shared DOUBLE NOT NULL, 
	split_half_jaccard DOUBLE, 
	split_half_clusters DOUBLE, 
	cluster_correlation DOUBLE NOT NULL, 
	n_clusters INTEGER NOT NULL, 
	PRIMARY KEY (run_id, stage), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "probe_stability" VALUES(1,'instruct',0.5,100,0.6,2,2.1,0.75,1.0,0.31,0.55,0.9,4);
INSERT INTO "probe_stability" VALUES(1,'base',0.5,100,0.6,1,1.0,0.75,0.5,0.31,0.55,0.9,2);
INSERT INTO "probe_stability" VALUES(4,'instruct',0.5,100,0.6,4,3.8,0.75,2.0,0.31,0.55,0.9,6);
CREATE TABLE question (
	dataset_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	question_id VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	answers JSON NOT NULL, 
	unit VARCHAR NOT NULL, 
	PRIMARY KEY (dataset_id, position), 
	FOREIGN KEY(dataset_id) REFERENCES dataset (id)
)
 WITHOUT ROWID

;
INSERT INTO "question" VALUES(1,0,'q0','Who wrote “Œuvre 0”?','["A\nB", "\u03a9"]','who wrote 0');
INSERT INTO "question" VALUES(1,1,'q1','Who wrote “Œuvre 1”?','["A\nB", "\u03a9"]','who wrote 1');
INSERT INTO "question" VALUES(1,2,'q2','Who wrote “Œuvre 2”?','["A\nB", "\u03a9"]','who wrote 2');
INSERT INTO "question" VALUES(2,0,'q0','Who wrote “Œuvre 0”?','["A\nB", "\u03a9"]','who wrote 0');
INSERT INTO "question" VALUES(2,1,'q1','Who wrote “Œuvre 1”?','["A\nB", "\u03a9"]','who wrote 1');
INSERT INTO "question" VALUES(2,2,'q2','Who wrote “Œuvre 2”?','["A\nB", "\u03a9"]','who wrote 2');
CREATE TABLE response (
	task_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	batch INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	question_id VARCHAR NOT NULL, 
	unit VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	n_samples INTEGER NOT NULL, 
	n_right INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	label_source VARCHAR NOT NULL, 
	prompt_ids JSON NOT NULL, 
	response_ids JSON NOT NULL, 
	regions JSON NOT NULL, 
	samples JSON NOT NULL, 
	PRIMARY KEY (task_id, position), 
	FOREIGN KEY(task_id) REFERENCES task (id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
)
 WITHOUT ROWID

;
INSERT INTO "response" VALUES(1,0,0,1,'q1','who wrote 1','train','faithful','',10,9,'l’été 1','rule','[1, 2, 3]','[1, 5]','[["special", 0, 1], ["question", 1, 3], ["answer", 3, 5]]','["a", "b"]');
INSERT INTO "response" VALUES(1,1,0,1,'q2','who wrote 2','train','dropped','refusal',10,9,'l’été 2','rule','[1, 2, 3]','[2, 5]','[["special", 0, 1], ["question", 1, 3], ["answer", 3, 5]]','["a", "b"]');
CREATE TABLE run (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	family_id INTEGER NOT NULL, 
	command VARCHAR NOT NULL, 
	settings JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	versions JSON NOT NULL, 
	status VARCHAR NOT NULL, 
	resumed INTEGER NOT NULL, 
	started_utc VARCHAR NOT NULL, 
	finished_utc VARCHAR, 
	durations_ms JSON NOT NULL, 
	peak_memory_bytes BIGINT, 
	content_digest VARCHAR, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(family_id) REFERENCES family (id)
);
INSERT INTO "run" VALUES(1,'k1',1,'compare','{"samples": 10, "C": [0.1, 1.0]}',7,'{"torch": "2.13.0", "provenance": "0.1.0"}','done',0,'2026-11-24T18:33:27Z','2026-11-24T18:33:27Z','{"drift": 12.5, "generate": 1000.0}',123456789,'c411ace0078821caef4b6879da789f98fdfbe4ad45235092d609fc424be94d82');
INSERT INTO "run" VALUES(2,'w1',1,'compare --weights-only','{"samples": 10, "C": [0.1, 1.0]}',7,'{"torch": "2.13.0", "provenance": "0.1.0"}','done',0,'2026-11-24T18:33:27Z','2026-11-24T18:33:27Z','{"drift": 12.5}',123456789,'02b410c48fa6bb4d44308fa680b351fa72395176410f2dfc63358bcb7b0558a4');
INSERT INTO "run" VALUES(3,'l1',1,'lineage','{"samples": 10, "C": [0.1, 1.0]}',7,'{"torch": "2.13.0", "provenance": "0.1.0"}','done',0,'2026-11-24T18:33:27Z','2026-11-24T18:33:27Z','{"lineage": 3.5}',123456789,'e5aef642b5f864f4e1b4f24dd13cee71459f30f12f14291a2df7548381ab05c6');
INSERT INTO "run" VALUES(4,'t1',1,'trace','{"samples": 10, "C": [0.1, 1.0]}',7,'{"torch": "2.13.0", "provenance": "0.1.0"}','done',0,'2026-11-24T18:33:27Z','2026-11-24T18:33:27Z','{"trace": 3.5}',123456789,'971e1d6026232dd5b1dc2cb51253dd0e3bc501d2d9e281281aea9baf02b60b12');
CREATE TABLE run_dataset (
	run_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	dataset_id INTEGER NOT NULL, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id), 
	FOREIGN KEY(dataset_id) REFERENCES dataset (id)
);
INSERT INTO "run_dataset" VALUES(1,'in-domain',0,1);
INSERT INTO "run_dataset" VALUES(1,'other-domain',1,2);
INSERT INTO "run_dataset" VALUES(4,'in-domain',0,1);
CREATE TABLE run_task (
	run_id INTEGER NOT NULL, 
	task_id INTEGER NOT NULL, 
	PRIMARY KEY (run_id, task_id), 
	FOREIGN KEY(run_id) REFERENCES run (id), 
	FOREIGN KEY(task_id) REFERENCES task (id)
);
INSERT INTO "run_task" VALUES(1,1);
CREATE TABLE scale_control (
	run_id INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	auroc_n INTEGER, 
	random_p95 DOUBLE, 
	layer_matched_p95 DOUBLE, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, dataset, kind), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "scale_control" VALUES(1,'in-domain','raw',0,0.9,0.87,0.93,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'in-domain','z_score',1,0.91,0.88,9.40000000000000057731e-01,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'in-domain','rank',2,0.89,0.86,0.92,380,0.64,NULL,'');
INSERT INTO "scale_control" VALUES(1,'in-domain','refit',3,0.93,0.9,9.60000000000000075495e-01,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'in-domain','forward',4,0.84,8.09999999999999942268e-01,0.87,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'in-domain','base_probe',5,0.95,9.19999999999999928945e-01,0.98,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','raw',6,0.8,0.77,8.30000000000000071054e-01,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','z_score',7,0.81,0.78,8.40000000000000079936e-01,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','rank',8,0.79,0.76,8.20000000000000062172e-01,380,0.64,NULL,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','refit',9,8.30000000000000071054e-01,0.8,8.60000000000000097699e-01,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','forward',10,0.74,0.71,0.77,380,0.64,0.66,'');
INSERT INTO "scale_control" VALUES(1,'other-domain','base_probe',11,NULL,NULL,NULL,NULL,NULL,NULL,'the base has no probe');
CREATE TABLE sign_agreement (
	run_id INTEGER NOT NULL, 
	k INTEGER NOT NULL, 
	agree INTEGER NOT NULL, 
	share DOUBLE, 
	expected DOUBLE, 
	p_value DOUBLE, 
	n_base INTEGER NOT NULL, 
	n_instruct INTEGER NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "sign_agreement" VALUES(1,3,2,6.66666666666666629659e-01,0.55,0.04,380,400);
CREATE TABLE task (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	stage VARCHAR NOT NULL, 
	dataset VARCHAR NOT NULL, 
	dataset_id INTEGER NOT NULL, 
	checkpoint_id INTEGER NOT NULL, 
	settings JSON NOT NULL, 
	n_batches INTEGER NOT NULL, 
	batches_done INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(dataset_id) REFERENCES dataset (id), 
	FOREIGN KEY(checkpoint_id) REFERENCES checkpoint (id)
);
INSERT INTO "task" VALUES(1,'t1','base','in-domain',1,1,'{"template": "{question}\nAnswer:", "top_k": 50}',3,1);
CREATE TABLE trace_point (
	run_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	ref VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	is_floor BOOLEAN NOT NULL, 
	prompt VARCHAR NOT NULL, 
	own DOUBLE, 
	own_low DOUBLE, 
	own_high DOUBLE, 
	own_random_p95 DOUBLE, 
	own_layer_matched_p95 DOUBLE, 
	n_faithful INTEGER NOT NULL, 
	n_hallucinated INTEGER NOT NULL, 
	forced DOUBLE, 
	forced_low DOUBLE, 
	forced_high DOUBLE, 
	forced_n INTEGER, 
	forced_random_p95 DOUBLE, 
	forced_layer_matched_p95 DOUBLE, 
	mean_stability_rank DOUBLE, 
	null_mean DOUBLE, 
	p_value DOUBLE, 
	change_h DOUBLE, 
	change_all DOUBLE, 
	correlation_h DOUBLE, 
	correlation_all DOUBLE, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, position), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "trace_point" VALUES(4,0,'org/model@step-0350','0000000000000000000000000000000000000000000000000000000000000000',0,'base',NULL,NULL,NULL,NULL,NULL,0,150,0.58,5.59999999999999942268e-01,0.6,380,0.61,0.63,0.55,0.51,0.2,0.3,0.35,0.8,0.7,'no faithful answers of its own');
INSERT INTO "trace_point" VALUES(4,1,'org/model@step-0700','1111111111111111111111111111111111111111111111111111111111111111',0,'base',0.75,0.72,0.78,0.62,0.65,150,150,0.73,0.71,0.75,380,0.61,0.63,6.00000000000000088817e-01,0.51,0.1,0.15,0.175,0.875,0.775,'');
INSERT INTO "trace_point" VALUES(4,2,'org/model@step-1050','2222222222222222222222222222222222222222222222222222222222222222',0,'instruct',8.99999999999999911182e-01,8.69999999999999884536e-01,9.29999999999999937827e-01,0.62,0.65,150,150,8.79999999999999893418e-01,8.59999999999999875655e-01,8.99999999999999911182e-01,380,0.61,0.63,NULL,NULL,NULL,NULL,NULL,0.95,0.85,'');
INSERT INTO "trace_point" VALUES(4,-1,'random initialisation','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1,'base',NULL,NULL,NULL,NULL,NULL,0,40,0.51,0.48,0.54,380,0.6,0.61,0.5,0.5,0.52,0.99,1.0,NULL,NULL,'its own answers are all wrong; other vocabulary');
CREATE TABLE transfer (
	run_id INTEGER NOT NULL, 
	dataset VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	auroc DOUBLE, 
	auroc_low DOUBLE, 
	auroc_high DOUBLE, 
	n_faithful INTEGER NOT NULL, 
	n_hallucinated INTEGER NOT NULL, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, p_value DOUBLE, p_holm DOUBLE, p_chance DOUBLE, decided_by VARCHAR, 
	PRIMARY KEY (run_id, dataset), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "transfer" VALUES(1,'in-domain',0,0.9,0.86,9.40000000000000057731e-01,200,180,'supported','AUROC 0.90 against nulls',0.004,0.008,0.001,'answer_text');
INSERT INTO "transfer" VALUES(1,'other-domain',1,0.65,0.61,6.90000000000000057731e-01,200,180,'not distinguishable','AUROC 0.65 against nulls',0.21,0.21,0.002,'layer_matched');
CREATE TABLE verdict (
	run_id INTEGER NOT NULL, 
	claim VARCHAR NOT NULL, 
	verdict VARCHAR, 
	words VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, claim), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "verdict" VALUES(1,'transfer','supported','in-domain: AUROC 0.90 against nulls; other-domain: AUROC 0.65 against nulls');
INSERT INTO "verdict" VALUES(1,'drift','not distinguishable','mean rank 0.357 against 0.515');
INSERT INTO "verdict" VALUES(1,'overlap','supported','shared by half');
INSERT INTO "verdict" VALUES(1,'overall',NULL,'The H-Neurons are readable in the base model.');
INSERT INTO "verdict" VALUES(2,'drift','not distinguishable','mean rank 0.643 against 0.502');
INSERT INTO "verdict" VALUES(2,'overall',NULL,'By their weights the instruct checkpoint is the base’s descendant; no forward pass was run.');
INSERT INTO "verdict" VALUES(3,'overall',NULL,'Descendant: 100 % of 64 sampled neurons are found at their own index');
CREATE INDEX run_by_status ON run (status, id);
CREATE INDEX neuron_by_rank ON neuron (run_id, stability_rank);
COMMIT;
